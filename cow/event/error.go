package event

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Classes of refusal. Every error of Accept and AcceptLines is or wraps an *Error
// and is one of these for errors.Is. ErrTooMany is AcceptLines' alone.
var (
	ErrSyntax   = errors.New("event: bad JSON")        // 400
	ErrShape    = errors.New("event: wrong shape")     // 422
	ErrTooLarge = errors.New("event: event too large") // 413
	ErrTooMany  = errors.New("event: too many events") // 413: of one body, by number or by bytes
)

// Error says why a post is refused. Its text is fit for the client: it
// quotes nothing of what was sent, and no number in it stands free, because
// clients take a free-standing 404 or 410 in an error for a slot that is gone.
type Error struct {
	Class  error  // ErrSyntax, ErrShape, ErrTooLarge or ErrTooMany
	Reason string // what is wrong
	Offset int    // where in the request body, in bytes
}

func (e *Error) Error() string { return e.text("") }

func (e *Error) text(where string) string {
	return strings.TrimPrefix(e.Class.Error(), "event: ") + ": " + e.Reason + " (" + where + "offset=" + strconv.Itoa(e.Offset) + ")"
}

func (e *Error) Unwrap() error { return e.Class }

// explain puts an error of the library in words that hold nothing of the body.
func (w *walk) explain(err error) *Error {
	syn, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok { // io.EOF in place of the first token
		return w.syntax("the body is empty")
	}
	reason := syn.Err.Error()
	if syn.Err == io.ErrUnexpectedEOF {
		reason = "the body ends too early"
	}
	// "invalid character 'x' in string" and the like quote the body once.
	if i := strings.IndexAny(reason, "'\"`"); i >= 0 {
		quoted, err := strconv.QuotedPrefix(reason[i:])
		if err != nil {
			quoted = reason[i:]
		}
		reason = strings.TrimRight(reason[:i], " ") + reason[i+len(quoted):]
	}
	return &Error{ErrSyntax, reason, int(syn.ByteOffset)}
}
