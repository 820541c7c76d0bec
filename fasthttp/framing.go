package fasthttp

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

var (
	nameCoding = []byte("transfer-encoding")
	nameLength = []byte("content-length")
	chunked    = []byte("chunked")
)

// misframed says whether a proxy in front may read a header in another way than
// upstream did, so that the two differ in where the request ends (RFC 9112,
// sections 2.2, 5.1, 5.2, 6.1 and 6.3). Such a request is refused, and what follows
// it on the connection is dropped:
//
//   - a line that continues the one before;
//   - a name with a blank in it;
//   - a transfer coding that is not chunked;
//   - a transfer coding beside a length.
//
// Upstream refuses all else of that kind by itself. fields is how many lines there
// are.
func misframed(h *fasthttp.RequestHeader) (bad bool, fields int) {
	coded, sized := false, false
	for rest := h.RawHeaders(); len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		fields++
		// A continued line may have no colon; upstream takes no other such line
		// but the empty one at the end.
		name, value, _ := bytes.Cut(line, []byte{':'})
		if bytes.IndexByte(name, ' ') >= 0 || len(name) > 0 && name[0] == '\t' {
			return true, fields
		}
		switch len(name) {
		case len(nameCoding):
			if bytes.EqualFold(name, nameCoding) {
				coded = true
				if !bytes.EqualFold(bytes.TrimSpace(value), chunked) {
					return true, fields
				}
			}
		case len(nameLength):
			sized = sized || bytes.EqualFold(name, nameLength)
		}
	}
	return coded && sized, fields - 1 // without the empty one at the end
}
