package load

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"cowrelay/bench/wire"
)

// A Slot is a mailbox of the relay under load.
type Slot struct{ ID, Token string }

// requestHead serializes all of a request that comes before its body.
func (s *Server) requestHead(method, path, token string, length int) []byte {
	return s.requestHeadOf(wire.OneEvent, method, path, token, length)
}

// requestHeadOf is requestHead for a body of another content type.
func (s *Server) requestHeadOf(content, method, path, token string, length int) []byte {
	b := []byte(method + " " + s.Prefix + path + " HTTP/1.1\r\nHost: " + wire.HostPort(s.Addr) + "\r\n")
	if token != "" {
		b = append(b, "Authorization: Bearer "+token+"\r\n"...)
	}
	if s.Header != "" {
		b = append(b, s.Header+"\r\n"...)
	}
	if method == "POST" {
		b = append(b, "Content-Type: "+content+"\r\nContent-Length: "+strconv.Itoa(length)+"\r\n"...)
	}
	return append(b, "\r\n"...)
}

// PullRequest serializes a pull of at most limit events after the event since.
// numAt is the offset of that id's number in req.
func (s *Server) PullRequest(sl Slot, since []byte, limit int) (req []byte, numAt int) {
	path := "/v1/events/" + sl.ID + "?since=" + string(since)
	req = s.requestHead("GET", path+"&limit="+strconv.Itoa(limit), sl.Token, 0)
	return req, len("GET ") + len(s.Prefix) + len(path) - wire.CounterDigits
}

// PositionRequest serializes a pull of at most limit events from a position on.
func (s *Server) PositionRequest(sl Slot, from, limit int) []byte {
	return s.requestHead("GET", "/v1/events/"+sl.ID+"?from="+strconv.Itoa(from)+"&limit="+strconv.Itoa(limit), sl.Token, 0)
}

// LastRequest serializes a pull of the newest n events.
func (s *Server) LastRequest(sl Slot, n int) []byte {
	return s.requestHead("GET", "/v1/events/"+sl.ID+"?last="+strconv.Itoa(n), sl.Token, 0)
}

// A PostRequest is a serialized post. The number of its event can be replaced.
type PostRequest struct {
	Bytes []byte
	NumAt int
}

// PostTo serializes a request with a body that is authenticated by a slot's token.
func (s *Server) PostTo(path string, sl Slot, body []byte) []byte {
	return append(s.requestHead("POST", path, sl.Token, len(body)), body...)
}

// Get serializes a request without a token.
func (s *Server) Get(path string) []byte { return s.requestHead("GET", path, "", 0) }

// NewPost serializes a post of an event of t.
func (s *Server) NewPost(sl Slot, t *wire.Template) PostRequest {
	if s.Dialect != nil {
		return s.Dialect.NewPost(s, sl, t)
	}
	req := s.requestHead("POST", "/v1/events/"+sl.ID, sl.Token, len(wire.PostOpen)+t.Size()+len(wire.PostClose))
	req = append(req, wire.PostOpen...)
	at := len(req) + t.NumAt
	req = append(req, t.Event...)
	return PostRequest{Bytes: append(req, wire.PostClose...), NumAt: at}
}

// StreamRequest serializes the opening of a stream.
func (s *Server) StreamRequest(sl Slot) []byte {
	if s.Dialect != nil {
		return s.Dialect.StreamRequest(s, sl)
	}
	return s.requestHead("GET", "/v1/events/"+sl.ID+"/stream", sl.Token, 0)
}

// Number returns the request for event n. It is valid until the next call.
func (p PostRequest) Number(n uint64) []byte {
	wire.PutHex(p.Bytes[p.NumAt:], n)
	return p.Bytes
}

// Allocate makes a slot over connection c.
func (s *Server) Allocate(c *wire.Conn) (Slot, error) { return s.AllocateAs(c, "{}") }

// AllocateAs is Allocate with a body that says what slot it is to be. Dialects know one
// kind alone.
func (s *Server) AllocateAs(c *wire.Conn, body string) (Slot, error) {
	if s.Dialect != nil {
		return s.Dialect.NewSlot(), nil
	}
	req := append(s.requestHead("POST", "/v1/slot/allocate", "", len(body)), body...)
	h, err := c.Exchange(req)
	if err != nil {
		return Slot{}, fmt.Errorf("cannot allocate a slot: %w", err)
	}
	b, err := c.Body(nil, h.Length)
	if err != nil {
		return Slot{}, fmt.Errorf("cannot allocate a slot: %w", err)
	}
	var a struct {
		ID    string `json:"slot_id"`
		Token string `json:"slot_token"`
	}
	if h.Status != 201 {
		return Slot{}, fmt.Errorf("cannot allocate a slot: status %d: %.200s", h.Status, b)
	}
	if err := json.Unmarshal(b, &a); err != nil || a.ID == "" || a.Token == "" {
		return Slot{}, fmt.Errorf("cannot allocate a slot: unexpected answer %.200q", b)
	}
	return Slot{ID: a.ID, Token: a.Token}, nil
}

// AllocateN makes n slots over connections of its own. There are several for
// many slots: each allocation waits for a sync, which others can share.
func (s *Server) AllocateN(ctx context.Context, n int) ([]Slot, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := make([]Slot, n)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range min(FillConns, (n+15)/16) {
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
func (s *Server) allocateInto(ctx context.Context, out []Slot, next *atomic.Int64) error {
	c, err := wire.Dial(ctx, s.Addr, wire.SmallBuffer)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	for i := next.Add(1) - 1; i < int64(len(out)); i = next.Add(1) - 1 {
		if out[i], err = s.Allocate(c); err != nil {
			return err
		}
	}
	return nil
}
