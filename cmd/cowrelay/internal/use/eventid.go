package use

import (
	"bytes"
	"errors"

	relayclient "cowrelay/fasthttp/client"

	"github.com/go-json-experiment/json/jsontext"
)

var errHasID = errors.New("it has an event_id already")

// withID returns the event, which is an object, with an id as its first member.
func withID(event []byte, id string) ([]byte, error) {
	if has, err := hasEventID(event); has || err != nil {
		return nil, errors.Join(err, errHasID)
	}
	quoted, err := jsontext.AppendQuote(nil, id)
	if err != nil {
		return nil, err
	}
	rest := bytes.TrimSpace(bytes.TrimSpace(event)[1:])
	out := append([]byte(`{"event_id":`), quoted...)
	if rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, rest...), nil
}

// hasEventID says whether the object has such a member at all. One that is no string
// is no id for the relay, but with a second one the relay would refuse the event.
func hasEventID(event []byte) (bool, error) {
	if relayclient.EventID(event) != "" {
		return true, nil
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(event), jsontext.AllowDuplicateNames(true))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
		return false, errNoObject
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return false, err
		}
		if name.String() == "event_id" {
			return true, nil
		}
		if err := dec.SkipValue(); err != nil {
			return false, err
		}
	}
	_, err := dec.ReadToken()
	return false, err
}
