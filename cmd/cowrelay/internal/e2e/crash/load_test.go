package crash

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// load is what posts to, pulls from and streams one slot while the relay is
// killed. Its cursors live over the restarts.
type load struct {
	*ledger
	posters []*poster
	pulled  int // position of the puller
	streams []int
	resumed int // streams that went on behind a crash
}

// poster sends one event after the other. What got no answer is sent again
// after the restart.
type poster struct {
	name    string
	n       int
	waiting bool // event n was sent and not answered
	sure    []int
}

func newLoad(l *ledger, posters, streams int) *load {
	w := &load{ledger: l, streams: make([]int, streams)}
	for i := range posters {
		w.posters = append(w.posters, &poster{name: fmt.Sprintf("%s-p%d", l.name, i)})
	}
	return w
}

// run loads the relay until it is gone or stop is set.
func (w *load) run(r *relaytest.Relay, stop *atomic.Bool) {
	var wg sync.WaitGroup
	for _, p := range w.posters {
		wg.Go(func() { w.post(r, p, stop) })
	}
	wg.Go(func() { w.pull(r, stop) })
	for i := range w.streams {
		wg.Go(func() { w.stream(r, i) })
	}
	wg.Wait()
}

func (w *load) post(r *relaytest.Relay, p *poster, stop *atomic.Bool) {
	c, done := relaytest.NewClient()
	defer done()
	for !stop.Load() {
		if !p.waiting {
			p.n++
		}
		n, again := p.n, false
		if len(p.sure) > 0 && !p.waiting && p.n%8 == 0 {
			n, again = p.sure[rand.IntN(len(p.sure))], true
		}
		e := relaytest.Event(p.name, n, 150+n%400)
		id := relaytest.EventID(e)
		w.sending(id, e)
		if !again {
			p.waiting = true
		}
		res, body, err := w.slot.Send(c, "POST", r.EventsURL(w.slot), relaytest.PostBody(e))
		if err != nil {
			return // killed: nobody knows
		}
		var reply struct {
			ID     *string `json:"event_id"`
			Status string  `json:"status"`
		}
		switch json.Unmarshal(body, &reply); {
		case res.StatusCode == http.StatusServiceUnavailable:
			time.Sleep(20 * time.Millisecond)
			continue
		case res.StatusCode != 201 && res.StatusCode != 200, reply.ID == nil, *reply.ID != id,
			(reply.Status == "stored") != (res.StatusCode == 201):
			w.t.Errorf("%s: post of %s: %s %s", w.name, id, res.Status, body)
			return
		case again && res.StatusCode != 200:
			w.t.Errorf("%s: %s was acknowledged, and again as new", w.name, id)
			return
		}
		w.acknowledged(id)
		if !again {
			p.waiting = false
			p.sure = append(p.sure, p.n)
		}
	}
}

func (w *load) pull(r *relaytest.Relay, stop *atomic.Bool) {
	c, done := relaytest.NewClient()
	defer done()
	since := w.last(w.pulled)
	for !stop.Load() {
		u := fmt.Sprintf("%s?since=%s&limit=%d&wait=%d", r.EventsURL(w.slot), url.QueryEscape(since), 1+rand.IntN(200), rand.IntN(2))
		res, body, err := w.slot.Send(c, "GET", u, nil)
		if err != nil {
			return
		}
		var page []json.RawMessage
		if res.StatusCode != http.StatusOK || json.Unmarshal(body, &page) != nil {
			w.t.Errorf("%s: pull: %s %.200s", w.name, res.Status, body)
			return
		}
		for _, e := range page {
			if !w.saw(w.pulled, e) {
				return
			}
			since = relaytest.EventID(e)
			w.pulled++
		}
	}
}

func (w *load) stream(r *relaytest.Relay, i int) {
	pos := &w.streams[i]
	last := w.last(*pos)
	if last == "" {
		last = "from the beginning" // an id that is not there
	}
	st, err := relaytest.OpenStream(r, w.slot, last)
	if err != nil {
		return
	}
	defer st.Conn.Close()
	for first := true; ; first = false {
		ev, err := st.Next()
		if err != nil {
			return
		}
		if ev.ID != relaytest.EventID([]byte(ev.Data)) {
			w.t.Errorf("%s: a frame's id is %q, its event %.80q", w.name, ev.ID, ev.Data)
			return
		}
		if !w.saw(*pos, []byte(ev.Data)) {
			return
		}
		if first && *pos > 0 {
			w.mu.Lock()
			w.resumed++
			w.mu.Unlock()
		}
		*pos++
	}
}

// again posts the newest acknowledged event of each poster, which must be a
// duplicate.
func (w *load) again(r *relaytest.Relay) {
	for _, p := range w.posters {
		if len(p.sure) == 0 {
			continue
		}
		e := relaytest.Event(p.name, p.sure[len(p.sure)-1], 150+p.sure[len(p.sure)-1]%400)
		res, body, err := w.slot.Send(relaytest.HTTPClient, "POST", r.EventsURL(w.slot), relaytest.PostBody(e))
		if err != nil || res.StatusCode != http.StatusOK {
			w.t.Errorf("%s: %s was acknowledged; sent again: %v %s", w.name, relaytest.EventID(e), err, body)
		}
	}
}

// forget drops the cursors behind what a crash left.
func (w *load) forget() {
	n := w.length()
	if w.pulled > n {
		w.pulled = n
	}
	for i := range w.streams {
		if w.streams[i] > n {
			w.streams[i] = n
		}
	}
	for _, p := range w.posters {
		kept := p.sure[:0]
		for _, n := range p.sure {
			if _, ok := w.at[fmt.Sprintf("%s-%d", p.name, n)]; ok {
				kept = append(kept, n)
			}
		}
		p.sure = kept
	}
}
