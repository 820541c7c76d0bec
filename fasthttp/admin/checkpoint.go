package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"cowrelay/fasthttp/refusal"
)

// Checkpoint is a copy of the relay's store at one moment. It must be closed.
type Checkpoint interface {
	// Bytes is how long its files are together.
	Bytes() int64
	// Send writes it, without what its reader has.
	Send(ctx context.Context, w io.Writer, o SendOptions) (int64, error)
	Close() error
}

// SendOptions of a Checkpoint. The zero value sends all of it, as fast as it can.
type SendOptions struct {
	Have    []HaveFile              // what its reader has
	Rate    int64                   // bytes a second that are read of the disk at most; 0: no limit
	LeftOut func(bytes int64) error // is told what was passed over; its error ends Send
}

// HaveFile is a file that the reader of a copy has from an earlier one.
type HaveFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lowercase hex
}

// ErrBusy is what Options.Checkpoint returns where as many copies are being read as
// there may be.
var ErrBusy = &refusal.Reply{Status: http.StatusServiceUnavailable, RetryAfter: 10, Text: "another copy of the store is being read: try again when that has ended"}

// ErrAway is what Options.Checkpoint returns where relays share a log, and it can't be
// asked what other relays have acknowledged.
var ErrAway = &refusal.Reply{Status: http.StatusServiceUnavailable, RetryAfter: 10, Text: "the log that relays share can't be reached, so a copy of the store may lack what others acknowledged: try again when it is back, or stop this relay and back up its folder with --offline"}

var errNoCheckpoint = &refusal.Reply{Status: http.StatusNotImplemented, Text: "this relay's store can't be copied"}

// CheckpointBytes names the header of a reply that tells how long all files of a copy
// are together.
const CheckpointBytes = "Relay-Checkpoint-Bytes"

// checkpoint gives a copy of the store: a tar archive that ends with a manifest.
func (s *Server) checkpoint(_ *attached, w http.ResponseWriter, req *http.Request) error {
	return s.sendCopy(w, req, SendOptions{})
}

// sendCopy gives a copy of the store. If the rest can't be had, the connection is cut. A
// reader that takes too long for a piece is cut, too: while it reads, the tables of its
// copy stay on the disk.
func (s *Server) sendCopy(w http.ResponseWriter, req *http.Request, o SendOptions) error {
	if s.opts.Checkpoint == nil {
		return errNoCheckpoint
	}
	// It begins with a flush, which may take longer than a reply otherwise may.
	ctx, cancel := context.WithTimeout(req.Context(), 2*s.opts.times.write)
	defer cancel()
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(3 * s.opts.times.write)) // an error: a test's recorder has none
	c, err := s.opts.Checkpoint(ctx)
	if s.acted(req, "copy store", "all", err) != nil {
		return err
	}
	defer func() {
		if err := c.Close(); err != nil {
			s.opts.Logger.Error("a copy of the store could not be removed: the next start tries again", "error", err)
		}
	}()
	w.Header().Set("Content-Type", "application/x-tar")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set(CheckpointBytes, strconv.FormatInt(c.Bytes(), 10))
	began := time.Now()
	p := &patientWriter{w: w, ctrl: http.NewResponseController(w), began: began}
	o.LeftOut = p.leftOut
	n, err := c.Send(req.Context(), p, o)
	if err != nil {
		s.opts.Logger.Warn("a copy of the store was cut off", "remote", req.RemoteAddr, "bytes", n, "error", err)
		panic(http.ErrAbortHandler) // or what was sent would pass for all
	}
	s.opts.Logger.Info("a copy of the store was sent", "remote", req.RemoteAddr, "bytes", n, "of", c.Bytes(), "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// A copy must be read at this rate in the mean, behind its first minute: as long as it
// is read the disk keeps what the store has dropped since.
const (
	leastRate  = 256 << 10 // bytes a second
	firstSlack = time.Minute
)

var errSlow = errors.New("it was read too slowly")

// patientWriter gives a client a time for each piece of a long reply, and for all of it.
type patientWriter struct {
	w     http.ResponseWriter
	ctrl  *http.ResponseController
	began time.Time
	n     int64
}

// late says whether the copy is read too slowly.
func (p *patientWriter) late() error {
	if time.Since(p.began) > firstSlack+time.Duration(p.n/leastRate)*time.Second {
		return errSlow
	}
	return nil
}

// leftOut counts what the reader has, as if it had been written.
func (p *patientWriter) leftOut(bytes int64) error {
	p.n += bytes
	return p.late()
}

func (p *patientWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if err := p.late(); err != nil {
			return n, err
		}
		piece := b[:min(len(b), exportBytes)]
		p.ctrl.SetWriteDeadline(time.Now().Add(exportPatience)) // an error: a test's recorder has none
		k, err := p.w.Write(piece)
		p.n += int64(k)
		if n += k; err != nil {
			return n, err
		}
		b = b[k:]
	}
	return n, nil
}
