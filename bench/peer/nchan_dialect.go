package peer

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

// A nchanDialect writes and reads a channel.
type nchanDialect struct{}

func (nchanDialect) NewSlot() load.Slot {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return load.Slot{ID: hex.EncodeToString(b)}
}

func (nchanDialect) NewPost(s *load.Server, sl load.Slot, t *wire.Template) load.PostRequest {
	head := fmt.Sprintf("POST /pub/%s HTTP/1.1\r\nHost: %s\r\nAccept: text/json\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		sl.ID, s.Addr, t.Size())
	return load.PostRequest{Bytes: append([]byte(head), t.Event...), NumAt: len(head) + t.NumAt}
}

// Accepts takes 201, which says that somebody subscribes, and 202, which says
// that nobody does.
func (nchanDialect) Accepts(status int) bool { return status == 201 || status == 202 }

var nchanStored = []byte(`"last_message_id": "`)

func (nchanDialect) CheckStored(body []byte) error {
	_, err := nchanMessageID(body)
	return err
}

// nchanMessageID returns the message id in the answer to a post.
func nchanMessageID(body []byte) ([]byte, error) {
	_, rest, ok := bytes.Cut(body, nchanStored)
	id, _, end := bytes.Cut(rest, []byte(`"`))
	if !ok || !end || !bytes.Contains(id, []byte(":")) {
		return nil, fmt.Errorf("a post was answered by %.200q, without a message id", body)
	}
	return id, nil
}

func (nchanDialect) StreamRequest(s *load.Server, sl load.Slot) []byte {
	return []byte("GET /sub/" + sl.ID + " HTTP/1.1\r\nHost: " + s.Addr + "\r\nAccept: text/event-stream\r\n\r\n")
}
