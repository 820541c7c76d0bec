package admin

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/refusal"
)

const (
	jsonLines = "application/jsonl"

	// exportBytes are read at once and then written. Between two pieces an export
	// holds nothing of the store, however slow its reader is.
	exportBytes = 256 << 10
	// exportPatience is how long a piece may take to be written.
	exportPatience = 30 * time.Second
)

// counts gives all slots with their counts of events: a JSON object a line, in no
// order.
func (s *Server) counts(r *attached, w http.ResponseWriter, req *http.Request) error {
	s.acted(req, "count events", "all slots", nil)
	out := newLinesWriter(w)
	var b []byte
	for slot := range r.store.All { // which waits for no lock while a client is slow
		first, end := slot.Positions()
		if b = appendCount(b, slot.ID(), first, end-first); len(b) >= exportBytes-100 {
			out.write(b)
			b = b[:0]
		}
	}
	if len(b) > 0 {
		out.write(b)
	}
	return nil
}

var errRange = &refusal.Reply{Status: http.StatusBadRequest, Text: "bad query: from and to are positions, whole numbers from 0"}

// exportSlot gives the events from position from up to below to, one a line. to is at most,
// and by default, the end of the slot now. Relay-First is the position of the first line:
// those before have left. If the slot is removed meanwhile, or can't be read, or what comes
// next has left, the connection is cut: the client asks for the rest and hears why. A
// blocked slot is given like any other.
func (s *Server) exportSlot(r *attached, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	if err != nil {
		return err
	}
	first, end := slot.Positions()
	from, to := uint64(0), end
	q := req.URL.Query()
	if text := q.Get("from"); text != "" {
		if from, err = strconv.ParseUint(text, 10, 63); err != nil {
			return errRange
		}
	}
	if text := q.Get("to"); text != "" {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return errRange
		}
		to = min(to, n)
	}
	if from == 0 {
		s.opts.Logger.Debug("admin", "remote", req.RemoteAddr, "act", "export slot", "on", slot.ID().String())
	}
	from = min(max(first, from), end)
	buf, next, err := r.store.ReadLines(nil, slot, from, to, exportBytes)
	if err != nil {
		return err
	}
	w.Header().Set("Relay-First", strconv.FormatUint(begin(buf, next), 10))
	for out := newLinesWriter(w); ; {
		out.write(buf)
		if next >= to {
			return nil
		}
		if slot.Gone() {
			err = cow.ErrNoSlot
		} else {
			at := next
			buf, next, err = r.store.ReadLines(buf[:0], slot, at, to, exportBytes)
			if err == nil && begin(buf, next) != at {
				err = cow.ErrTrimmed
			}
		}
		if err != nil {
			if _, known := refusal.Of(err); !known && !errors.Is(err, cow.ErrTrimmed) {
				s.opts.Logger.Error("request failed", "error", err)
			}
			panic(http.ErrAbortHandler) // or what was sent would pass for all
		}
	}
}

// begin is the position of the first of these lines, of which the last stands before next.
func begin(lines []byte, next uint64) uint64 { return next - uint64(bytes.Count(lines, []byte{'\n'})) }

var errOf = &refusal.Reply{Status: http.StatusBadRequest, Text: "bad query: of is <slot id>-<events>, with commas between; at most 1000 of them"}

// exportSlots gives the first events of several small slots, as many as the query
// says: for each slot a line {"slot_id":…,"events":n}, and n lines. It leaves out a
// slot that it can't read, and slots that would make the reply long: a client that
// asks for such a slot alone gets it, or the reason.
func (s *Server) exportSlots(r *attached, w http.ResponseWriter, req *http.Request) error {
	const mostSlots, mostBytes = 1000, 4 << 20
	list := strings.Split(req.URL.Query().Get("of"), ",")
	if len(list) > mostSlots {
		return errOf
	}
	type part struct {
		id cow.ID
		to uint64
	}
	asked := make([]part, len(list))
	for i, one := range list {
		text, number, _ := strings.Cut(one, "-")
		id, ok := cow.ParseID(text)
		to, err := strconv.ParseUint(number, 10, 63)
		if !ok || err != nil {
			return errOf
		}
		asked[i] = part{id, to}
	}
	var piece, events []byte
	written := 0
	out := newLinesWriter(w)
	for _, p := range asked {
		slot := r.store.Slot(p.id)
		if slot == nil {
			continue
		}
		var next uint64
		var err error
		first, _ := slot.Positions()
		if events, next, err = r.store.ReadLines(events[:0], slot, first, first+p.to, exportBytes); err != nil || next != first+p.to || begin(events, next) != first {
			continue
		}
		if written+len(piece)+len(events) > mostBytes {
			break
		}
		if piece = append(appendCount(piece, p.id, first, p.to), events...); len(piece) >= exportBytes {
			out.write(piece)
			written, piece = written+len(piece), piece[:0]
		}
	}
	out.write(piece)
	return nil
}

// appendCount appends the line that counts the events of a slot. It has the position of the
// first if some have left.
func appendCount(b []byte, id cow.ID, first, events uint64) []byte {
	b = append(append(b, `{"slot_id":"`...), id.String()...)
	b = strconv.AppendUint(append(b, `","events":`...), events, 10)
	if first > 0 {
		b = strconv.AppendUint(append(b, `,"first":`...), first, 10)
	}
	return append(b, "}\n"...)
}

// linesWriter sends JSON lines to a client that may be slow, but not for ever.
type linesWriter struct {
	w    http.ResponseWriter
	ctrl *http.ResponseController
}

func newLinesWriter(w http.ResponseWriter) linesWriter {
	w.Header().Set("Content-Type", jsonLines)
	w.Header().Set("Cache-Control", "no-store")
	return linesWriter{w, http.NewResponseController(w)}
}

// write ends the handler where the client has left.
func (l linesWriter) write(b []byte) {
	l.ctrl.SetWriteDeadline(time.Now().Add(exportPatience)) // an error: a test's recorder has none
	if _, err := l.w.Write(b); err != nil {
		panic(http.ErrAbortHandler)
	}
}
