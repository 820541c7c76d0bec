package crash

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// numbered reads a stream whose id lines are positions, and comes back with the last
// of them.
type numbered struct {
	*testing.T
	slot   relaytest.Slot
	events []string // at their positions
	last   string   // the last id line, "" for none
	count  atomic.Int64
}

// read streams until the stream ends, or until it has read enough.
func (n *numbered) read(r *relaytest.Relay, enough int) {
	req, err := http.NewRequest("GET", r.EventsURL(n.slot)+"/stream?from=0&ids=position", nil)
	if err != nil {
		n.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+n.slot.Token)
	if n.last != "" {
		req.Header.Set("Last-Event-ID", n.last)
	}
	c, done := relaytest.NewClient()
	defer done()
	res, err := c.Do(req)
	if err != nil {
		return // killed before the head
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		n.Errorf("stream: %s", res.Status)
		return
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	id, data := "", ""
	for len(n.events) < enough && lines.Scan() {
		line := lines.Text()
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			if id != strconv.Itoa(len(n.events)) {
				n.Errorf("I6: the frame of %q came where position %d comes next: %.80s", id, len(n.events), data)
				return
			}
			n.events, n.last = append(n.events, data), id
			n.count.Store(int64(len(n.events)))
			id, data = "", ""
		case name == "id":
			id = value
		case name == "data":
			data = value
		}
	}
}

// Streams that are resumed by position over kill -9 get every event once, though no
// event has an id: what they saw is what the slot holds at the end, position by
// position, and everything that was acknowledged is there.
func TestPositions_StreamsOverKills(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--memory-budget=32MiB"}
	r := relaytest.Start(t, dir, args...)
	slot := r.Allocate()
	readers := []*numbered{{T: t, slot: slot}, {T: t, slot: slot}}
	var acked sync.Map // event -> true
	var posted, known atomic.Int64
	for round := range 5 {
		if round > 0 {
			r = relaytest.Start(t, dir, args...)
		}
		var work sync.WaitGroup
		for range 3 {
			work.Go(func() {
				c, done := relaytest.NewClient()
				defer done()
				for {
					e := fmt.Sprintf(`{"n":%d,"p":"%s"}`, posted.Add(1), strings.Repeat("x", int(posted.Load()%900)))
					res, body, err := slot.Send(c, "POST", r.EventsURL(slot), relaytest.PostBody([]byte(e)))
					if err != nil {
						return // killed: perhaps it is stored
					}
					if res.StatusCode != 201 {
						t.Errorf("post: %s %s", res.Status, body)
						return
					}
					acked.Store(e, true)
					known.Add(1)
				}
			})
		}
		for _, n := range readers {
			work.Go(func() { n.read(r, 1<<30) })
		}
		// Killed when readers have read something new, in the middle of posts.
		began := []int64{readers[0].count.Load(), readers[1].count.Load()}
		for end := time.Now().Add(30 * time.Second); !t.Failed() && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if readers[0].count.Load() > began[0]+40 && readers[1].count.Load() > began[1]+40 {
				break
			}
		}
		r.Kill()
		work.Wait()
		if t.Failed() {
			t.Logf("round %d, the relay's log:\n%s", round, r.Log.String())
			return
		}
	}
	r = relaytest.Start(t, dir, args...)
	var truth []string
	for next := "0"; ; {
		res, body, err := slot.Send(relaytest.HTTPClient, "GET", r.EventsURL(slot)+"?limit=100&from="+next, nil)
		var page []json.RawMessage
		if err != nil || res.StatusCode != 200 || json.Unmarshal(body, &page) != nil {
			t.Fatalf("pull from %s: %v %.100s", next, err, body)
		}
		for _, e := range page {
			truth = append(truth, string(e))
		}
		if next = res.Header.Get("Relay-Next"); next != strconv.Itoa(len(truth)) {
			t.Fatalf("Relay-Next is %s behind %d events", next, len(truth))
		}
		if next == res.Header.Get("Relay-End") {
			break
		}
	}
	at := make(map[string]int)
	for pos, e := range truth {
		if first, twice := at[e]; twice {
			t.Errorf("%.40s is at %d and at %d", e, first, pos)
		}
		at[e] = pos
	}
	acked.Range(func(e, _ any) bool {
		if _, ok := at[e.(string)]; !ok {
			t.Errorf("I3: %.40s was acknowledged and is gone", e)
		}
		return true
	})
	for k, n := range readers {
		before := len(n.events)
		n.read(r, len(truth))
		if len(n.events) != len(truth) {
			t.Fatalf("reader %d has %d events of %d", k, len(n.events), len(truth))
		}
		for pos, e := range n.events {
			if e != truth[pos] {
				t.Fatalf("reader %d saw %.40s at %d, where the slot has %.40s", k, e, pos, truth[pos])
			}
		}
		t.Logf("reader %d: %d events over 5 kills, %d more at the end", k, before, len(truth)-before)
	}
	t.Logf("%d posts, %d acknowledged, %d stored", posted.Load(), known.Load(), len(truth))
	r.Stop()
}
