package wire

import (
	"fmt"
	"io"
	"time"
)

// StatusError is a wrong status, with the start of its body.
func (c *Conn) StatusError(h Head, want int) error {
	b, err := c.Body(nil, min(max(h.Length, 0), 200))
	if err != nil {
		return fmt.Errorf("status %d, want %d", h.Status, want)
	}
	return fmt.Errorf("status %d, want %d: %s", h.Status, want, b)
}

// Pulled sends a pull and reads the page that it brings into buf, grown where
// it is too small.
func (c *Conn) Pulled(buf, req []byte) ([]byte, error) {
	h, err := c.Exchange(req)
	if err != nil {
		return buf, err
	}
	if h.Status != 200 {
		return buf, c.StatusError(h, 200)
	}
	return c.Body(buf, h.Length)
}

// Store posts once and drops the answer.
func (c *Conn) Store(req []byte) error {
	h, err := c.Exchange(req)
	if err != nil {
		return err
	}
	if h.Status != 201 {
		return c.StatusError(h, 201)
	}
	return c.Skip(h.Length)
}

// AnswerGrace is how long an answer, or a delivery, may still take after the
// end of a round. A variable for the tests, which wait for some that never
// come.
var AnswerGrace = 10 * time.Second

// OpenStream opens a stream and returns what carries its frames.
func (c *Conn) OpenStream(req []byte) (io.Reader, error) {
	_ = c.TCP.SetReadDeadline(time.Now().Add(AnswerGrace))
	h, err := c.Send(req)
	if err != nil {
		return nil, err
	}
	if h.Status != 200 {
		return nil, c.StatusError(h, 200)
	}
	_ = c.TCP.SetReadDeadline(time.Time{})
	var body io.Reader = c.TCP
	if n := c.br.Buffered(); n > 0 { // what comes then passes the buffer: one copy less
		body = io.MultiReader(io.LimitReader(c.br, int64(n)), c.TCP)
	}
	if h.chunked {
		body = &chunkReader{r: body}
	}
	return body, nil
}
