package wire

import (
	"fmt"
	"io"
	"time"
)

// AnswerGrace is how long an answer or a delivery may still take after the end
// of a round. It is a variable for tests that wait for answers that never come.
var AnswerGrace = 10 * time.Second

// StatusError is the error for a wrong status. It quotes the start of the body.
func (c *Conn) StatusError(h Head, want int) error {
	b, err := c.Body(nil, min(max(h.Length, 0), 200))
	if err != nil {
		return fmt.Errorf("status %d, want %d", h.Status, want)
	}
	return fmt.Errorf("status %d, want %d: %s", h.Status, want, b)
}

// Pulled sends a pull and reads the page into buf, which it grows if it is too
// small.
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

// Store sends a post that must be stored, and drops the answer.
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

// OpenStream opens a stream and returns the reader of its frames.
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
	var body io.Reader = c.stream
	if n := c.br.Buffered(); n > 0 { // then read past the buffer, which saves a copy
		body = io.MultiReader(io.LimitReader(c.br, int64(n)), c.stream)
	}
	if h.chunked {
		body = &chunkReader{r: body}
	}
	return body, nil
}
