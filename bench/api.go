package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
)

// A slot is a mailbox of the relay under load.
type slot struct{ id, token string }

// apiBuffer is the read buffer of connections that carry small answers.
const apiBuffer = 4 << 10

// requestHead serializes everything of a request before its body.
func (s *side) requestHead(method, path, token string, length int) []byte {
	b := []byte(method + " " + s.prefix + path + " HTTP/1.1\r\nHost: " + s.addr + "\r\n")
	if token != "" {
		b = append(b, "Authorization: Bearer "+token+"\r\n"...)
	}
	if s.header != "" {
		b = append(b, s.header+"\r\n"...)
	}
	if method == "POST" {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "+strconv.Itoa(length)+"\r\n"...)
	}
	return append(b, "\r\n"...)
}

// pullRequest serializes a pull of at most limit events after the event whose
// id is since; it also returns the offset of the id's number.
func (s *side) pullRequest(sl slot, since []byte, limit int) (req []byte, numAt int) {
	path := "/v1/events/" + sl.id + "?since=" + string(since)
	req = s.requestHead("GET", path+"&limit="+strconv.Itoa(limit), sl.token, 0)
	return req, len("GET ") + len(s.prefix) + len(path) - counterDigits
}

const (
	postOpen  = `{"event":`
	postClose = `}`
)

// A postRequest is a serialized post whose event's number is patched in place.
type postRequest struct {
	bytes []byte
	numAt int
}

func (s *side) newPost(sl slot, t *template) postRequest {
	if s.dialect != nil {
		return s.dialect.newPost(s, sl, t)
	}
	req := s.requestHead("POST", "/v1/events/"+sl.id, sl.token, len(postOpen)+t.size()+len(postClose))
	req = append(req, postOpen...)
	at := len(req) + t.numAt
	req = append(req, t.event...)
	return postRequest{bytes: append(req, postClose...), numAt: at}
}

// streamRequest serializes the opening of a stream.
func (s *side) streamRequest(sl slot) []byte {
	if s.dialect != nil {
		return s.dialect.streamRequest(s, sl)
	}
	return s.requestHead("GET", "/v1/events/"+sl.id+"/stream", sl.token, 0)
}

func (p postRequest) number(n uint64) []byte {
	putHex(p.bytes[p.numAt:], n)
	return p.bytes
}

// allocate makes a slot over connection c.
func (s *side) allocate(c *rawConn) (slot, error) {
	if s.dialect != nil {
		return s.dialect.newSlot(), nil
	}
	req := append(s.requestHead("POST", "/v1/slot/allocate", "", len("{}")), "{}"...)
	h, err := c.exchange(req)
	if err != nil {
		return slot{}, fmt.Errorf("cannot allocate a slot: %w", err)
	}
	b, err := c.body(nil, h.length)
	if err != nil {
		return slot{}, fmt.Errorf("cannot allocate a slot: %w", err)
	}
	var a struct {
		ID    string `json:"slot_id"`
		Token string `json:"slot_token"`
	}
	if h.status != 201 {
		return slot{}, fmt.Errorf("cannot allocate a slot: status %d: %.200s", h.status, b)
	}
	if err := json.Unmarshal(b, &a); err != nil || a.ID == "" || a.Token == "" {
		return slot{}, fmt.Errorf("cannot allocate a slot: unexpected answer %.200q", b)
	}
	return slot{id: a.ID, token: a.Token}, nil
}

// allocateN makes n slots over connections of its own: several for many slots,
// because each allocation waits for a sync that others can share.
func (s *side) allocateN(ctx context.Context, n int) ([]slot, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := make([]slot, n)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range min(fillConns, (n+15)/16) {
		wg.Go(func() {
			if err := s.allocateInto(ctx, out, &next); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return out, nil
}

// allocateInto makes slots over one connection until all of out are made.
func (s *side) allocateInto(ctx context.Context, out []slot, next *atomic.Int64) error {
	c, err := dialRaw(ctx, s.addr, apiBuffer)
	if err != nil {
		return err
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	for i := next.Add(1) - 1; i < int64(len(out)); i = next.Add(1) - 1 {
		if out[i], err = s.allocate(c); err != nil {
			return err
		}
	}
	return nil
}

// statusError is a wrong status, with the start of its body.
func (c *rawConn) statusError(h head, want int) error {
	b, err := c.body(nil, min(max(h.length, 0), 200))
	if err != nil {
		return fmt.Errorf("status %d, want %d", h.status, want)
	}
	return fmt.Errorf("status %d, want %d: %s", h.status, want, b)
}
