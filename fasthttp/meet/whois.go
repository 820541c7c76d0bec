package meet

import (
	"errors"
	"strings"

	"cowrelay/cow/rendezvous"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// find returns the handle of a nick, or of an address nick@anything.
func find(handles *rendezvous.Directory, handle string) (rendezvous.Handle, error) {
	nick, _, _ := strings.Cut(handle, "@")
	if nick == "" {
		return rendezvous.Handle{}, bad("handle must be a nick or nick@host", "")
	}
	h, _, err := handles.Lookup(nick)
	if errors.Is(err, rendezvous.ErrNoHandle) {
		err = noHandle
	}
	return h, err
}

// encode makes a body of parts that may hold a card, in which keys may be repeated.
func encode(v any) ([]byte, error) {
	return json.Marshal(v, jsontext.AllowDuplicateNames(true), jsontext.PreserveRawStrings(true))
}

// Whois says who has a nick. It returns the body of a 200.
func Whois(handles *rendezvous.Directory, handle string) ([]byte, error) {
	h, err := find(handles, handle)
	if err != nil {
		return nil, err
	}
	body := append([]byte(`{"nick":`), quoted(h.Nick)...)
	body = append(append(body, `,"did":`...), quoted(h.DID)...)
	body = append(append(body, `,"card":`...), h.Card...)
	body = append(append(body, `,"slot_id":"`...), h.Slot.String()...)
	body = append(append(body, `","relay_url":`...), orNull(h.RelayURL)...)
	return append(append(body, `,"claimed_at":"`...), h.Claimed()+`"}`...), nil
}

func orNull(text string) string {
	if text == "" {
		return "null"
	}
	return quoted(text)
}
