package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of the lines that wait to be written, beside the piece under way.
const (
	LogLines = 4096
	logBytes = 1 << 20
)

const (
	logPiece = 4 << 10               // most bytes of a write: a pipe takes so many whole or not at all (PIPE_BUF)
	logPause = 20 * time.Millisecond // between two tries of a pipe that is full and does not block
	logFlush = time.Second           // longest wait for what is queued when the process ends
)

// logWriter writes the lines of a log on a goroutine of its own. Write puts a line
// into a bounded queue and never waits, so that a reader that stalls or has gone, or
// a disk that is full, costs lines and holds up nobody. Lost lines are counted. When
// lines can be written again, one says in their place how many are missing.
//
//	Write ─▶ queue ─▶ run: pieces of whole lines ─▶ out
//	           │ full                                 │ error
//	           ▼                                      ▼
//	          lost ───────────────────────────▶ untold ─▶ a line, before the next
//
// newLogWriter makes it. All methods may be called concurrently.
type logWriter struct {
	out  io.Writer
	note func(lines uint64) []byte // the line that tells how many are missing

	mu    sync.Mutex
	queue []byte // guarded by mu; whole lines
	lines int    // guarded by mu; in queue
	lost  uint64 // guarded by mu; lines that found the queue full, and belong behind it

	wake    chan struct{}      // something is queued; one that waits is enough
	flushes chan chan struct{} // each is closed when all that was queued is written
	quit    chan struct{}      // closed by close
	ended   chan struct{}      // closed when the goroutine has ended

	full, failed atomic.Uint64 // lines dropped: Write and put add, dropped loads

	// Of the goroutine that writes:
	spare  []byte // the buffer that queue gets next
	untold uint64 // dropped lines that are not in a line of the log yet
	torn   bool   // a write ended within a line
}

// newLogWriter returns a writer of lines to out, with its goroutine running
// until close. note formats the line that says how many lines are missing.
func newLogWriter(out io.Writer, note func(lines uint64) []byte) *logWriter {
	w := &logWriter{
		out: out, note: note,
		wake: make(chan struct{}, 1), flushes: make(chan chan struct{}), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	go pprof.Do(context.Background(), pprof.Labels("relay", "log"), func(context.Context) { w.run() })
	return w
}

// Write queues one line. It never fails: what is dropped is counted.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	if w.lines >= LogLines || len(w.queue)+len(line) > logBytes {
		w.lost++
		w.full.Add(1)
	} else {
		w.queue = append(w.queue, line...)
		w.lines++
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

// dropped returns how many lines found the queue full, and how many could not
// be written.
func (w *logWriter) dropped() (full, failed uint64) { return w.full.Load(), w.failed.Load() }

// flush returns when all lines queued until now are written or dropped, or after
// limit. It says whether they are.
func (w *logWriter) flush(limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	written := make(chan struct{})
	select {
	case w.flushes <- written:
	case <-t.C:
		return false
	}
	select {
	case <-written:
		return true
	case <-t.C:
		return false
	}
}

// close flushes, and ends the goroutine. If a write holds it up longer than limit,
// the goroutine ends after that write, or with the process. Call close once.
func (w *logWriter) close(limit time.Duration) {
	written := w.flush(limit)
	close(w.quit)
	if written {
		<-w.ended
	}
}

func (w *logWriter) run() {
	defer close(w.ended)
	for {
		select {
		case <-w.wake:
			w.writeQueued()
		case written := <-w.flushes:
			w.writeQueued()
			close(written)
		case <-w.quit:
			return
		}
	}
}

// writeQueued writes until the queue is empty.
func (w *logWriter) writeQueued() {
	for {
		w.mu.Lock()
		text, lost := w.queue, w.lost
		w.queue, w.lines, w.lost = w.spare[:0], 0, 0
		w.mu.Unlock()
		for rest := text; len(rest) > 0; {
			n := pieceOf(rest)
			w.put(rest[:n])
			rest = rest[n:]
		}
		if w.spare = text; cap(text) > logBytes/4 {
			w.spare = nil // it was for a burst
		}
		if lost > 0 {
			w.untold += lost
			w.put(nil)
		} else if len(text) == 0 {
			return
		}
	}
}

// pieceOf returns the length of as many whole lines as go into one write; at
// least one.
func pieceOf(text []byte) int {
	n := 0
	for n < len(text) {
		end := bytes.IndexByte(text[n:], '\n') + 1
		if end == 0 {
			end = len(text) - n
		}
		if n > 0 && n+end > logPiece {
			break
		}
		n += end
	}
	return n
}

// put writes whole lines, after the line that says how many are missing before them.
// Lines that can't be written are dropped.
func (w *logWriter) put(lines []byte) {
	text := lines
	if w.untold > 0 {
		text = append(w.note(w.untold), lines...)
	}
	if w.torn {
		text = append([]byte{'\n'}, text...)
	}
	n, err := w.send(text)
	if n > 0 {
		w.torn = text[n-1] != '\n'
	}
	if told := len(text) - len(lines); n >= told {
		w.untold, lines = 0, lines[n-told:]
	}
	if err != nil {
		missing := uint64(bytes.Count(lines, []byte{'\n'}))
		w.failed.Add(missing)
		w.untold += missing
	}
}

// send writes all of text. It waits for a pipe that is full, even if another process
// that shares the pipe has made it answer at once instead of blocking.
func (w *logWriter) send(text []byte) (n int, err error) {
	for {
		k, err := w.out.Write(text[n:])
		n += k
		if n == len(text) || err != nil && !errors.Is(err, syscall.EAGAIN) {
			return n, err
		}
		select {
		case <-w.quit:
			return n, err
		case <-time.After(logPause):
		}
	}
}
