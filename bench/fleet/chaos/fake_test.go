package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/fleet/call"
	"cowrelay/bench/fleet/fault"
)

// fake is a fleet of small relays with one memory, which keeps the contract but for
// one breach.
type fake struct {
	breach  string
	keep    int // bytes that a slot keeps; 0: all
	servers []*httptest.Server
	n       atomic.Int64 // of secrets

	mu      sync.Mutex // guards all below
	slots   map[string]*fakeSlot
	handles map[string][2]string // nick: DID and slot
	invites map[string]int
	pairs   map[string]map[string]string // code: role: message
	totals  call.Totals
	broke   int // how often the breach happened
}

type fakeSlot struct {
	token, owner string
	made         map[string]string // token id: token
	events       []string
	first        int // so many events have left
	ids          map[string]int
	blocked      bool
	health       string
}

func newFake(breach string, relays int) *fake {
	f := &fake{breach: breach, slots: map[string]*fakeSlot{}, handles: map[string][2]string{}, invites: map[string]int{}, pairs: map[string]map[string]string{}}
	for n := range relays {
		f.servers = append(f.servers, httptest.NewServer(f.routes(n)))
	}
	return f
}

func (f *fake) Relays() (urls []string) {
	for _, s := range f.servers {
		urls = append(urls, s.URL)
	}
	return urls
}
func (f *fake) Admins() []string             { return f.Relays() }
func (f *fake) Kinds() []fault.Target        { return nil }
func (f *fake) Sound() error                 { return nil }
func (f *fake) Verify(context.Context) error { return nil }
func (f *fake) Close() error {
	for _, s := range f.servers {
		s.CloseClientConnections()
		s.Close()
	}
	return nil
}

// breaks says whether to breach now. It is called with the lock.
func (f *fake) breaks(breach string, oneIn int) bool {
	if f.breach != breach || rand.IntN(oneIn) > 0 {
		return false
	}
	f.broke++
	return true
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (f *fake) secret() string { return fmt.Sprintf("%032x", f.n.Add(1)) }

// slot authenticates. The lock is held when it returns a slot.
func (f *fake) slot(w http.ResponseWriter, r *http.Request, owner bool) *fakeSlot {
	f.mu.Lock()
	s := f.slots[r.PathValue("slot")]
	status := 404
	if s != nil {
		status = 403
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if bearer == s.owner || !owner && bearer == s.token {
			return s
		}
		for _, t := range s.made {
			if !owner && t == bearer {
				return s
			}
		}
	}
	f.mu.Unlock()
	reply(w, status, map[string]string{"error": "no"})
	return nil
}

func (f *fake) routes(relay int) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, 1) })
	m.HandleFunc("POST /v1/slot/allocate", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		id, s := f.secret(), &fakeSlot{token: f.secret(), owner: f.secret(), made: map[string]string{}, ids: map[string]int{}}
		f.slots[id] = s
		f.totals.Slots++
		reply(w, 201, map[string]string{"slot_id": id, "slot_token": s.token, "owner_token": s.owner})
	})
	m.HandleFunc("DELETE /v1/slot/{slot}", func(w http.ResponseWriter, r *http.Request) {
		if f.slot(w, r, true) == nil {
			return
		}
		defer f.mu.Unlock()
		if !f.breaks("slots live on", 2) {
			delete(f.slots, r.PathValue("slot"))
		}
		w.WriteHeader(204)
	})
	m.HandleFunc("POST /v1/slot/{slot}/tokens", func(w http.ResponseWriter, r *http.Request) {
		s := f.slot(w, r, true)
		if s == nil {
			return
		}
		defer f.mu.Unlock()
		id, t := f.secret(), f.secret()
		if !f.breaks("tokens unknown", 2) {
			s.made[id] = t
		}
		reply(w, 201, map[string]string{"token": t, "token_id": id})
	})
	m.HandleFunc("DELETE /v1/slot/{slot}/tokens/{id}", func(w http.ResponseWriter, r *http.Request) {
		s := f.slot(w, r, true)
		if s == nil {
			return
		}
		defer f.mu.Unlock()
		if !f.breaks("tokens live on", 2) {
			delete(s.made, r.PathValue("id"))
		}
		w.WriteHeader(204)
	})
	m.HandleFunc("POST /v1/slot/{slot}/tokens/rotate", func(w http.ResponseWriter, r *http.Request) {
		s := f.slot(w, r, true)
		if s == nil {
			return
		}
		defer f.mu.Unlock()
		old, t := s.token, f.secret()
		if !f.breaks("new tokens unknown", 2) {
			s.token = t
		}
		if f.breaks("old tokens live on", 2) {
			s.made["old"] = old
		}
		reply(w, 201, map[string]string{"slot_token": t})
	})
	m.HandleFunc("POST /v1/events/{slot}", f.post)
	m.HandleFunc("GET /v1/events/{slot}", func(w http.ResponseWriter, r *http.Request) { f.pull(w, r, relay) })
	m.HandleFunc("GET /v1/events/{slot}/stream", f.stream)
	f.meet(m)
	f.operate(m, relay)
	return m
}

// store appends events that are new.
func (f *fake) store(s *fakeSlot, es []string) (stored, duplicates int) {
	for _, text := range es {
		var e struct {
			ID string `json:"event_id"`
		}
		_ = json.Unmarshal([]byte(text), &e)
		if at, there := s.ids[e.ID]; there && at >= s.first && e.ID != "" {
			if duplicates++; !f.breaks("doubles", 3) {
				continue
			}
		}
		stored++
		if !f.breaks("counts too little", 2) {
			f.totals.Events++
		}
		if f.breaks("loses", 20) {
			continue
		}
		at := len(s.events)
		if at > 0 && f.breaks("reorders", 5) {
			at = 0
		}
		s.events = slices.Insert(s.events, at, text)
		if s.ids[e.ID] = at; at == 0 { // all moved
			for id := range s.ids {
				if id != e.ID {
					s.ids[id]++
				}
			}
		}
	}
	f.trim(s)
	return stored, duplicates
}

// trim has the oldest events of a slot leave that holds an eighth more than it keeps.
func (f *fake) trim(s *fakeSlot) {
	size := 0
	for _, e := range s.events[s.first:] {
		size += len(e)
	}
	if f.keep == 0 || size <= f.keep+f.keep/8 {
		return
	}
	most := f.keep
	if f.breaks("takes too much", 1) {
		most /= 2
	}
	for ; size > most; s.first++ {
		size -= len(s.events[s.first])
	}
}

func (f *fake) post(w http.ResponseWriter, r *http.Request) {
	s := f.slot(w, r, false)
	if s == nil {
		return
	}
	defer f.mu.Unlock()
	if s.blocked {
		reply(w, 403, map[string]bool{"blocked": true})
		return
	}
	if r.Header.Get("Content-Type") == "application/x-ndjson" {
		var es []string
		for in := bufio.NewScanner(r.Body); in.Scan(); {
			es = append(es, in.Text())
		}
		if f.breaks("halves batches", 3) {
			f.store(s, es[:len(es)/2])
			reply(w, 503, 1)
			return
		}
		stored, duplicates := f.store(s, es)
		reply(w, 201, map[string]int{"stored": stored, "duplicates": duplicates, "next": len(s.events)})
		return
	}
	var b struct{ Event json.RawMessage }
	_ = json.NewDecoder(r.Body).Decode(&b)
	if f.breaks("stores what it refuses", 10) {
		f.store(s, []string{string(b.Event)})
		reply(w, 413, 1)
		return
	}
	if n, _ := f.store(s, []string{string(b.Event)}); n == 0 {
		reply(w, 200, map[string]string{"status": "duplicate"})
		return
	}
	reply(w, 201, map[string]string{"status": "stored"})
}

func (f *fake) pull(w http.ResponseWriter, r *http.Request, relay int) {
	s := f.slot(w, r, false)
	if s == nil {
		return
	}
	defer f.mu.Unlock()
	if s.blocked {
		reply(w, 403, map[string]bool{"blocked": true})
		return
	}
	q := r.URL.Query()
	events := s.events
	if q.Get("consistent") == "1" && f.breaks("reads late", 10) {
		events = events[:max(0, len(events)-3)]
	}
	if q.Get("consistent") == "" && f.breaks("goes back", 4) {
		events = events[:len(events)/2]
	}
	if relay == 1 && len(events) > 2 && f.breaks("differs", 1) {
		events = slices.Clone(events)
		events[0], events[1] = events[1], events[0]
	}
	from, _ := strconv.Atoi(q.Get("from"))
	if at, ok := s.ids[q.Get("since")]; ok && q.Get("since") != "" && !f.breaks("forgets ids", 2) {
		from = at + 1
	}
	if from < s.first {
		if from = s.first; !f.breaks("hides what left", 2) {
			w.Header().Set("Relay-Trimmed", strconv.Itoa(from))
		}
	}
	limit := 100
	if n, err := strconv.Atoi(q.Get("limit")); err == nil {
		limit = n
	}
	from = min(from, len(events))
	page := events[from:min(len(events), from+limit)]
	if len(page) > 2 && f.breaks("has gaps", 4) {
		page = slices.Delete(slices.Clone(page), 1, 2)
	}
	w.Header().Set("Relay-Next", strconv.Itoa(from+len(page)))
	w.Header().Set("Relay-End", strconv.Itoa(len(events)))
	_, _ = w.Write([]byte("[" + strings.Join(page, ",") + "]"))
}

func (f *fake) stream(w http.ResponseWriter, r *http.Request) {
	s := f.slot(w, r, false)
	if s == nil {
		return
	}
	next, last := 0, r.Header.Get("Last-Event-ID")
	positions := r.URL.Query().Get("ids") == "position"
	if n, err := strconv.Atoi(last); positions && err == nil {
		next = n + 1
	} else if at, ok := s.ids[last]; ok && last != "" {
		next = at + 1
	}
	if last != "" {
		if f.breaks("streams skip", 2) {
			next++
		} else if f.breaks("streams repeat", 2) {
			next--
		}
	}
	f.mu.Unlock()
	w.WriteHeader(200)
	for r.Context().Err() == nil {
		f.mu.Lock()
		next = max(next, s.first)
		for ; next < len(s.events); next++ {
			id := strconv.Itoa(next)
			if !positions {
				var e struct {
					ID string `json:"event_id"`
				}
				_ = json.Unmarshal([]byte(s.events[next]), &e)
				id = e.ID
			}
			fmt.Fprintf(w, "id: %s\ndata: %s\n\n", id, s.events[next])
		}
		f.mu.Unlock()
		w.(http.Flusher).Flush()
		time.Sleep(5 * time.Millisecond)
	}
}

// meet adds handles and invites.
func (f *fake) meet(m *http.ServeMux) {
	m.HandleFunc("POST /v1/handle/claim", func(w http.ResponseWriter, r *http.Request) {
		var b struct {
			Nick string
			Slot string `json:"slot_id"`
			Card struct{ DID string }
		}
		_ = json.NewDecoder(r.Body).Decode(&b)
		f.mu.Lock()
		defer f.mu.Unlock()
		h := f.handles[b.Nick]
		switch {
		case h[0] == b.Card.DID:
			f.totals.Claims++
			reply(w, 201, map[string]string{"status": "re-claimed"})
		case h[0] == "" || f.breaks("two hold a nick", 4):
			f.handles[b.Nick] = [2]string{b.Card.DID, b.Slot}
			f.totals.Claims++
			f.totals.FirstClaims++
			reply(w, 201, map[string]string{"status": "claimed"})
		default:
			reply(w, 409, map[string]string{"claimed_by": h[0]})
		}
	})
	m.HandleFunc("DELETE /v1/handle/claim/{nick}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		h := f.handles[r.PathValue("nick")]
		switch {
		case h[0] == "":
			reply(w, 404, 1)
		case f.slots[h[1]].token != strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "):
			reply(w, 403, 1)
		default:
			delete(f.handles, r.PathValue("nick"))
			reply(w, 200, 1)
		}
	})
	m.HandleFunc("GET /.well-known/wire/agent", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		h := f.handles[r.URL.Query().Get("handle")]
		if h[0] == "" || f.breaks("denies handles", 2) {
			reply(w, 404, 1)
			return
		}
		reply(w, 200, map[string]string{"did": h[0]})
	})
	m.HandleFunc("POST /v1/invite/register", func(w http.ResponseWriter, r *http.Request) {
		var b struct{ Uses int }
		_ = json.NewDecoder(r.Body).Decode(&b)
		f.mu.Lock()
		defer f.mu.Unlock()
		t := f.secret()
		f.invites[t] = b.Uses
		reply(w, 201, map[string]string{"token": t})
	})
	m.HandleFunc("GET /i/{token}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if t := r.PathValue("token"); f.invites[t] > 0 {
			if !f.breaks("uses do not count", 3) {
				f.invites[t]--
			}
			reply(w, 200, 1)
			return
		}
		reply(w, 410, 1)
	})
}
