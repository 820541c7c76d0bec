package cow_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
)

// The ladders measure the store beside its plain twin, with one step of load
// at a time: `go test -bench . ./cow | benchstat -col /impl -`. The goroutines
// that read or post are the ladder of -cpu.

// plainSlot is a slot as one writes it first: decoded events in a slice under
// a lock, encoded anew at each pull, and a channel with a clone of the event
// for each subscriber. Its journal keeps as much as journaltest.Memory does.
type plainSlot struct {
	mu      sync.RWMutex
	events  []map[string]any
	at      map[string]int
	journal []json.RawMessage
	subs    []chan map[string]any
}

func newPlainSlot() *plainSlot { return &plainSlot{at: map[string]int{}} }

func (s *plainSlot) post(body []byte) (duplicate bool, err error) {
	var p struct {
		Event json.RawMessage `json:"event"`
	}
	var event map[string]any
	if err := json.Unmarshal(body, &p); err != nil {
		return false, err
	}
	if err := json.Unmarshal(p.Event, &event); err != nil {
		return false, err
	}
	id, _ := event["event_id"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.at[id]; ok {
		return true, nil
	}
	s.journal = append(s.journal, p.Event) // a copy of the body's
	s.events = append(s.events, event)
	s.at[id] = len(s.events)
	for _, c := range s.subs {
		c <- maps.Clone(event)
	}
	return false, nil
}

// window writes the events behind since.
func (s *plainSlot) window(since string, limit int, w io.Writer) (int, error) {
	s.mu.RLock()
	first := s.at[since]
	page := s.events[first:min(first+limit, len(s.events))]
	s.mu.RUnlock()
	b, err := json.Marshal(page)
	if err != nil {
		return 0, err
	}
	return w.Write(b)
}

// A socket takes what is written to it as a kernel does: by copying it once.
type socket struct{ buf [64 << 10]byte }

func (s *socket) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		rest = rest[copy(s.buf[:], rest):]
	}
	return len(p), nil
}

// sockets are kept from one benchmark to the next, so that none is charged
// with them.
var sockets = sync.Pool{New: func() any { return new(socket) }}

const ladderIDDigits = 32

func ladderID(i int) string { return fmt.Sprintf("%0*x", ladderIDDigits, i) }

// ladderBody is the body of a post whose event, of an agent, takes size bytes.
// The id begins at ladderIDAt, so that it can be changed in place.
func ladderBody(i, size int) []byte {
	head := `{"event_id":"` + ladderID(i) + `"`
	if size >= 256 {
		head += `,"kind":1,"type":"decision","from":"did:wire:paul-a1b2c3d4","to":"did:wire:willard-0badf00d"`
	}
	head += `,"t":"`
	return []byte(`{"event":` + head + strings.Repeat("x", size-len(head)-2) + `"}}`)
}

const ladderIDAt = len(`{"event":{"event_id":"`)

// setLadderID writes the id i into a body.
func setLadderID(body []byte, i uint64) {
	const digits = "0123456789abcdef"
	for k := ladderIDAt + ladderIDDigits - 1; k >= ladderIDAt; k-- {
		body[k] = digits[i&15]
		i >>= 4
	}
}
