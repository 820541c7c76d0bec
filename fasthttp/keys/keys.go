// Package keys is the handlers' side of the tokens of a slot: it reads the bodies of
// requests for tokens, says who may ask for what, and makes the replies. It knows no
// HTTP server.
package keys

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/token"
	"cowrelay/fasthttp/refusal"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxLife is how long a token may live, in seconds, if its life has an end: 100 years.
const MaxLife = 100 * 366 * 24 * 3600

// MaxBody is how many bytes a request for a token may have.
const MaxBody = 16 << 10

var (
	badMay   = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: `may must be a list of "post" or "read" or both`}
	badLife  = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "ttl_seconds must be a whole number from 1 to " + strconv.Itoa(MaxLife)}
	badNote  = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "note must be a string of at most " + strconv.Itoa(token.MaxNote) + " bytes"}
	badEmpty = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "the body has the wrong shape: send {}"}
	noToken  = &refusal.Reply{Status: http.StatusNotFound, Text: "no such token"}
	many     = &refusal.Reply{Status: http.StatusConflict, Text: "the slot has as many tokens as it may: " + strconv.Itoa(token.MostTokens), Why: refusal.SlotTokens}
	tickets  = &refusal.Reply{Status: http.StatusConflict, Text: "the slot has as many live tickets as it may: " + strconv.Itoa(token.MostTickets), Why: refusal.SlotTickets}
	full     = &refusal.Reply{Status: http.StatusServiceUnavailable, Text: "the relay has as many tokens as it may", RetryAfter: 60, Why: refusal.Tokens}
	share    = &refusal.Reply{Status: http.StatusServiceUnavailable, Text: "the relay has as many tokens from your address as it may", RetryAfter: 60, Why: refusal.TokenShares}
)

// refusalOf is the reply to an error of the store, or the error.
func refusalOf(err error) error {
	switch {
	case errors.Is(err, cow.ErrNoToken):
		return noToken
	case errors.Is(err, token.ErrMany):
		return many
	case errors.Is(err, token.ErrManyTickets):
		return tickets
	case errors.Is(err, token.ErrFull):
		return full
	case errors.Is(err, token.ErrShare):
		return share
	}
	return err
}

// shown is a token as clients see it. Without Token it is not secret.
type shown struct {
	Token   string   `json:"token,omitzero"`
	ID      string   `json:"token_id"`
	May     []string `json:"may"`
	Created int64    `json:"created_unix,omitzero"`
	Expires *int64   `json:"expires_unix"`
	Note    string   `json:"note,omitzero"`
}

func show(r *token.Record) shown {
	s := shown{ID: r.ID.String(), May: strings.Split(r.May.String(), "+"), Note: r.Note}
	if r.Expires != 0 {
		s.Expires = &r.Expires
	}
	return s
}

// Make makes a further token for the slot and returns the body of a 201. The owner
// may make any, within the bounds. Others may make tickets. by is the client, for
// shares, 0 for none.
func Make(store *cow.Store, slot *cow.Slot, grant cow.Grant, by uint64, body []byte) ([]byte, error) {
	var in *struct {
		May  []string       `json:"may"`
		Life jsontext.Value `json:"ttl_seconds"`
		Note jsontext.Value `json:"note"`
	}
	if err := refusal.Decode(body, &in); err != nil {
		return nil, err
	}
	if in == nil {
		return nil, badMay
	}
	now := time.Now().Unix()
	rec := token.Record{By: by, Created: now}
	var ok bool
	if rec.May, ok = token.ParseMay(in.May); !ok {
		return nil, badMay
	}
	if len(in.Life) > 0 && in.Life.Kind() != 'n' {
		life, err := strconv.ParseInt(string(in.Life), 10, 64)
		if err != nil || life < 1 || life > MaxLife {
			return nil, badLife
		}
		rec.Expires = now + life
	}
	if len(in.Note) > 0 && in.Note.Kind() != 'n' {
		if err := json.Unmarshal(in.Note, &rec.Note); err != nil || !token.ValidNote(rec.Note) {
			return nil, badNote
		}
	}
	owner := grant.May(token.Owner)
	if !owner && !rec.Ticket() {
		return nil, refusal.Missing(token.Owner)
	}
	text, err := store.NewToken(slot, &rec, !owner)
	if err != nil {
		return nil, refusalOf(err)
	}
	s := show(&rec)
	s.Token = text
	return json.Marshal(s)
}

// Tokens is the body of a 200: the further tokens of a slot, without secrets.
type Tokens struct {
	Tokens []shown `json:"tokens"`
}

// List returns the further tokens of the slot.
func List(store *cow.Store, slot *cow.Slot) Tokens {
	out := Tokens{[]shown{}}
	for _, t := range store.Tokens(slot) {
		s := show(&t.Record)
		s.Created = t.Created
		out.Tokens = append(out.Tokens, s)
	}
	return out
}

// Revoke takes back the token that the text names.
func Revoke(store *cow.Store, slot *cow.Slot, text string) error {
	id, ok := token.ParseID(text)
	if !ok {
		return noToken
	}
	return refusalOf(store.Revoke(slot, id))
}

// Rotate gives the slot another slot token and returns the body of a 201. The
// request's body is {} or empty.
func Rotate(store *cow.Store, slot *cow.Slot, body []byte) ([]byte, error) {
	if len(body) > 0 {
		var in *struct{}
		if err := refusal.Decode(body, &in); err != nil {
			return nil, err
		}
		if in == nil {
			return nil, badEmpty
		}
	}
	text, err := store.Rotate(slot)
	if err != nil {
		return nil, err
	}
	return []byte(`{"slot_token":"` + text + `"}`), nil
}
