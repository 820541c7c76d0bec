package tiny

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	_ "net/http/pprof"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A relay speaks as much of the contract as the scenarios need. It has a log,
// which outlives the process but not the machine.
type relay struct {
	fault string   // "": none; else a word that some line here looks for
	log   *os.File // what was allocated and posted, for the next start

	heartbeat time.Duration
	streams   atomic.Int64

	mu    sync.Mutex // guards the fields below
	slots map[string]*slot
	posts int
	pulls int
	nicks []string // claimed, in order
}

type slot struct {
	token   string
	events  [][]byte
	at      map[string]int
	changed chan struct{} // closed and replaced at each post
}

// Serve runs a relay with the arguments of `cowrelay serve`, as far as tests
// need them, until the process ends.
func Serve(args []string) error {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	bind := fs.String("bind", "", "")
	dir := fs.String("data-dir", "", "")
	admin := fs.String("admin", "", "")
	fs.String("sync", "", "")
	fs.Int("mutex-profile-fraction", 0, "")
	fs.Int("block-profile-rate", 0, "")
	r := &relay{slots: map[string]*slot{}}
	fs.StringVar(&r.fault, "fault", "", "")
	fs.DurationVar(&r.heartbeat, "heartbeat", time.Minute, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := r.open(*dir); err != nil {
		return err
	}
	m := http.NewServeMux()
	m.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	m.HandleFunc("POST /v1/slot/allocate", r.allocate)
	m.HandleFunc("POST /v1/events/{slot}", r.post)
	m.HandleFunc("GET /v1/events/{slot}", r.pull)
	m.HandleFunc("GET /v1/events/{slot}/stream", r.stream)
	m.HandleFunc("GET /stats.json", r.stats)
	m.HandleFunc("POST /v1/handle/claim", r.claim)
	m.HandleFunc("GET /v1/handles", r.handles)
	http.HandleFunc("GET /metrics", metrics)
	// The default mux has /debug/pprof. It lives as long as the process.
	go http.ListenAndServe(*admin, nil)
	return http.ListenAndServe(*bind, m)
}

// A record is a line of the log: a slot's allocation, or a post to it.
type record struct {
	Slot, Token, ID string
	Event           json.RawMessage
}

// open reads the log of the last start, and appends to it from then on.
func (r *relay) open(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, "log")
	b, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for d := json.NewDecoder(bytes.NewReader(b)); d.More(); {
		var rec record
		if err := d.Decode(&rec); err != nil {
			break // half a line
		}
		if rec.Token != "" {
			r.slots[rec.Slot] = newSlot(rec.Token)
		} else if r.fault != "forget" {
			r.slots[rec.Slot].add(rec.ID, rec.Event)
		}
	}
	r.log, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	return err
}

// recordLocked writes a record to the log.
func (r *relay) recordLocked(rec record) {
	b, err := json.Marshal(rec)
	if err == nil {
		_, err = r.log.Write(append(b, '\n'))
	}
	if err != nil {
		panic(err)
	}
}

func newSlot(token string) *slot {
	return &slot{token: token, at: map[string]int{}, changed: make(chan struct{})}
}

func (s *slot) add(id string, event []byte) {
	s.at[id] = len(s.events)
	s.events = append(s.events, event)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Answer answers a request with a document of JSON.
func Answer(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

func (r *relay) allocate(w http.ResponseWriter, _ *http.Request) {
	b := make([]byte, 48)
	_, _ = rand.Read(b)
	id, token := hex.EncodeToString(b[:16]), hex.EncodeToString(b[16:])
	r.mu.Lock()
	r.slots[id] = newSlot(token)
	r.recordLocked(record{Slot: id, Token: token})
	r.mu.Unlock()
	Answer(w, 201, fmt.Appendf(nil, `{"slot_id":%q,"slot_token":%q}`, id, token))
}

// slotLocked returns the slot, if the request may use it. The caller holds
// r.mu.
func (r *relay) slotLocked(w http.ResponseWriter, q *http.Request) *slot {
	s := r.slots[q.PathValue("slot")]
	if s == nil || q.Header.Get("Authorization") != "Bearer "+s.token {
		Answer(w, 403, []byte(`{"error":"no"}`))
		return nil
	}
	return s
}

func (r *relay) post(w http.ResponseWriter, q *http.Request) {
	b, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	if q.Header.Get("Content-Type") == "application/x-ndjson" {
		r.postLines(w, q, b)
		return
	}
	var body struct{ Event json.RawMessage }
	var event struct {
		ID string `json:"event_id"`
	}
	if json.Unmarshal(b, &body) != nil || json.Unmarshal(body.Event, &event) != nil {
		Answer(w, 400, []byte(`{"error":"bad"}`))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slotLocked(w, q)
	if s == nil {
		return
	}
	if _, ok := s.at[event.ID]; ok {
		Answer(w, 200, []byte(`{"event_id":"`+event.ID+`","status":"duplicate"}`))
		return
	}
	if r.posts++; r.fault == "status" && r.posts%50 == 0 || r.fault == "late-status" && r.posts > 130 {
		Answer(w, 503, []byte(`{"error":"made to fail"}`))
		return
	}
	s.add(event.ID, body.Event)
	r.recordLocked(record{Slot: q.PathValue("slot"), ID: event.ID, Event: body.Event})
	Answer(w, 201, []byte(`{"event_id":"`+event.ID+`","status":"stored"}`))
}

func (r *relay) pull(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	s := r.slotLocked(w, q)
	if s == nil {
		r.mu.Unlock()
		return
	}
	first := 0
	if n, ok := s.at[q.FormValue("since")]; ok {
		first = n + 1
	}
	limit, _ := strconv.Atoi(q.FormValue("limit"))
	if last, _ := strconv.Atoi(q.FormValue("last")); last > 0 {
		first, limit = max(0, len(s.events)-last), last
		if r.fault == "last" {
			first = 0
		}
	}
	page := s.events[first:min(first+limit, len(s.events))]
	r.pulls++
	late := r.fault == "late-bytes" && r.pulls > 5
	if r.fault == "shuffle" && r.pulls > 10 && first == 0 && len(page) > 1 {
		page = append([][]byte{page[1], page[0]}, page[2:]...)
	}
	r.mu.Unlock()
	b := append([]byte("["), bytes.Join(page, []byte(","))...)
	if r.fault == "bytes" && len(page) == 0 {
		b = append(b, ' ')
	}
	if late && len(b) > 20 {
		b[20] ^= 1
	}
	Answer(w, 200, append(b, ']'))
}

// stream is chunked, as net/http does it, so the generator has to cope with
// that too.
func (r *relay) stream(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	s := r.slotLocked(w, q)
	if s == nil {
		r.mu.Unlock()
		return
	}
	cursor, changed := len(s.events), s.changed
	held := "" // of the order fault: the first frame of a pair that is turned round
	r.posts++
	number := r.posts
	r.mu.Unlock()
	if r.streamFault(w, number) {
		return
	}
	defer r.streams.Add(-1)
	beat := time.NewTicker(r.heartbeat)
	defer beat.Stop()
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, ": ok\n\n")
	for {
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-beat.C:
			fmt.Fprint(w, heartbeat(r.fault))
			continue
		case <-q.Context().Done():
			return
		}
		r.mu.Lock()
		events := s.events[cursor:]
		changed = s.changed
		r.mu.Unlock()
		cursor += len(events)
		out := bytes.NewBuffer(nil)
		for i, e := range events {
			if r.fault == "lose" && number%2 == 0 && (cursor+i)%7 == 0 {
				continue
			}
			var event struct {
				ID string `json:"event_id"`
			}
			_ = json.Unmarshal(e, &event)
			frame := fmt.Sprintf("id: %s\ndata: %s\n\n", event.ID, e)
			if r.fault == "order" && number%2 == 0 {
				if held == "" {
					held = frame
					continue
				}
				frame, held = frame+held, ""
			}
			out.WriteString(frame)
			if r.fault == "twice" && (cursor+i)%7 == 0 {
				out.WriteString(frame)
			}
		}
		if _, err := w.Write(out.Bytes()); err != nil {
			return
		}
	}
}
