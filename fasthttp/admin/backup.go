package admin

import (
	"net/http"
	"sync"
	"time"

	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/stats"
)

// mostHave bounds the body that lists what a backup has already: some 60,000 tables. What
// is not listed is sent.
const mostHave = 8 << 20

// leastPace is the least rate that a backup may ask for: a table is read within minutes.
const leastPace = 1 << 20

var errPace = &refusal.Reply{Status: http.StatusBadRequest, Text: "bad rate: it is 0 for no limit, or at least 1048576 bytes a second"}

// backups is what metrics show of backups. Those who make them tell when one is whole:
// the relay can't know what became of the bytes that it has sent.
type backups struct {
	mu sync.Mutex
	stats.Backups
}

// backup gives a copy of the store without the tables that the client has:
// {"have":[{"name":…,"size":…,"sha256":…}],"rate":…}. A table that is left out stands in
// the archive as a hard link.
func (s *Server) backup(_ *attached, w http.ResponseWriter, req *http.Request) (err error) {
	var asked struct {
		Have []HaveFile `json:"have"`
		Rate int64      `json:"rate"`
	}
	if err := bodyOf(req, &asked, mostHave); err != nil {
		return err
	}
	// The time for a body is over. Later it would pass for a client that has left.
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // an error: a test's recorder has none
	if asked.Rate != 0 && asked.Rate < leastPace {
		return errPace
	}
	whole := false
	defer func() { // also when the connection is cut
		if !whole {
			s.backups.failed()
		}
	}()
	err = s.sendCopy(w, req, SendOptions{Have: asked.Have, Rate: asked.Rate})
	whole = err == nil
	return err
}

// backedUp takes note of what became of a backup: {"bytes":…,"sent_bytes":…,"seconds":…}
// of one that is whole, or {"failed":"…"}.
func (s *Server) backedUp(_ *attached, w http.ResponseWriter, req *http.Request) error {
	var told struct {
		Bytes   int64   `json:"bytes"`
		Sent    int64   `json:"sent_bytes"`
		Seconds float64 `json:"seconds"`
		Failed  string  `json:"failed"`
	}
	if err := body(req, &told); err != nil {
		return err
	}
	if told.Bytes < 0 || told.Sent < 0 || !(told.Seconds >= 0 && told.Seconds < 1e9) {
		return errTold
	}
	if told.Failed != "" {
		s.backups.failed()
		s.opts.Logger.Warn("a backup failed at the side that makes it", "remote", req.RemoteAddr, "why", told.Failed)
	} else {
		took := time.Duration(told.Seconds * float64(time.Second))
		s.backups.done(told.Bytes, told.Sent, took)
		s.opts.Logger.Info("a backup is whole", "remote", req.RemoteAddr, "bytes", told.Bytes, "sent_bytes", told.Sent, "took", took.Round(time.Millisecond).String())
	}
	return replyJSON(w, http.StatusOK, struct{}{})
}

var errTold = &refusal.Reply{Status: http.StatusBadRequest, Text: "bad figures: bytes, sent_bytes and seconds are numbers from 0"}

func (b *backups) failed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Failures++
}

func (b *backups) done(bytes, sent int64, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Last, b.Bytes, b.Sent, b.Took = time.Now(), bytes, sent, took
}

// shown is a copy of the figures.
func (b *backups) shown() stats.Backups {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Backups
}
