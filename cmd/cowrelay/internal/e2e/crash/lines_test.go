package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// A relay that is killed at any moment holds all events of a post of many or none, side
// by side in their order, in every sync mode. What was acknowledged is there (always),
// and to send a post again stores nothing twice.
func TestCrash_PostsOfManyEvents(t *testing.T) {
	for _, sync := range []string{"always", "off"} {
		t.Run(sync, func(t *testing.T) { newLinesRun(t, sync).rounds(5) })
	}
}

// linesRun is one slot that several posters fill with posts of many events, while the
// relay is killed.
type linesRun struct {
	t       *testing.T
	dir     string
	args    []string
	lossy   bool
	slot    relaytest.Slot
	posters []*linesPoster
}

// linesPoster sends one post after the other. It sends a post again that got no answer.
type linesPoster struct {
	n     int
	posts [][]string // the ids of each post that was sent
	acked []bool     // parallel
}

func newLinesRun(t *testing.T, sync string) *linesRun {
	c := &linesRun{t: t, dir: t.TempDir(), lossy: sync != "always", args: []string{"--sync=" + sync, "--memory-budget=32MiB"}}
	r := relaytest.Start(t, c.dir, c.args...)
	c.slot = r.Allocate()
	for i := range 3 {
		c.posters = append(c.posters, &linesPoster{n: i})
	}
	r.Stop()
	return c
}

func (c *linesRun) rounds(n int) {
	for range n {
		r := relaytest.Start(c.t, c.dir, c.args...)
		c.verify(r)
		var stop atomic.Bool
		var wg sync.WaitGroup
		for _, p := range c.posters {
			wg.Go(func() { c.post(r, p, &stop) })
		}
		time.Sleep(200*time.Millisecond + time.Duration(rand.IntN(400))*time.Millisecond)
		r.Kill()
		stop.Store(true)
		wg.Wait()
		if c.t.Failed() {
			c.t.Fatalf("the relay's log:\n%s", r.Log.String())
		}
	}
	r := relaytest.Start(c.t, c.dir, c.args...)
	events := c.verify(r)
	r.Stop()
	if stdout, stderr, code := relaytest.Command(c.t, nil, "verify", "--data-dir="+c.dir); code != 0 {
		c.t.Fatalf("the store is not sound:\n%s%s", stdout, stderr)
	}
	acked, open := 0, 0
	for _, p := range c.posters {
		for _, ok := range p.acked {
			if ok {
				acked++
			} else {
				open++
			}
		}
	}
	c.t.Logf("%d events of %d acknowledged posts, %d others", events, acked, open)
	if acked < 20 {
		c.t.Error("too little was posted to prove anything")
	}
}

// send sends the k-th post of a poster.
func (c *linesRun) send(client *http.Client, r *relaytest.Relay, p *linesPoster, k int) (stored, duplicates int, err error) {
	var body bytes.Buffer
	for i := range p.posts[k] {
		fmt.Fprintf(&body, "{\"event_id\":\"%s\",\"pad\":\"%0*d\"}\n", p.posts[k][i], 20+(k*37+i*11)%200, i)
	}
	req, err := http.NewRequest("POST", r.EventsURL(c.slot), &body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+c.slot.Token)
	res, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, 0, err
	}
	var reply struct{ Stored, Duplicates int }
	if err := json.Unmarshal(text, &reply); err != nil || reply.Stored+reply.Duplicates != len(p.posts[k]) || reply.Stored != 0 && reply.Duplicates != 0 {
		c.t.Errorf("post of %d events: %s %s", len(p.posts[k]), res.Status, text)
	}
	return reply.Stored, reply.Duplicates, nil
}

func (c *linesRun) post(r *relaytest.Relay, p *linesPoster, stop *atomic.Bool) {
	client, done := relaytest.NewClient()
	defer done()
	for !stop.Load() && !c.t.Failed() {
		k := len(p.posts) - 1
		if k < 0 || p.acked[k] {
			k++
			ids := make([]string, []int{2, 40, 600}[rand.IntN(3)])
			for i := range ids {
				ids[i] = fmt.Sprintf("%d-%d-%d", p.n, k, i)
			}
			p.posts, p.acked = append(p.posts, ids), append(p.acked, false)
		}
		if _, _, err := c.send(client, r, p, k); err != nil {
			return // killed: nobody knows
		}
		p.acked[k] = true
		time.Sleep(2 * time.Millisecond) // the slot has a quota
	}
}

// verify reads everything after a restart, and returns how many events there are.
func (c *linesRun) verify(r *relaytest.Relay) int {
	c.t.Helper()
	events := r.Pull(c.slot, "")
	for pos := 0; pos < len(events); {
		var n, k, i int
		if _, err := fmt.Sscanf(relaytest.EventID(events[pos]), "%d-%d-%d", &n, &k, &i); err != nil || n >= len(c.posters) || k >= len(c.posters[n].posts) || i != 0 {
			c.t.Fatalf("position %d holds %.60s, where a post must begin", pos, events[pos])
		}
		for _, id := range c.posters[n].posts[k] {
			if pos == len(events) || relaytest.EventID(events[pos]) != id {
				c.t.Fatalf("position %d does not hold %s: a part of a post is there", pos, id)
			}
			pos++
		}
	}
	client, done := relaytest.NewClient()
	defer done()
	for _, p := range c.posters {
		for k := max(0, len(p.posts)-5); k < len(p.posts); k++ {
			stored, _, err := c.send(client, r, p, k)
			if err != nil {
				c.t.Fatal(err)
			}
			if p.acked[k] && stored > 0 && !c.lossy {
				c.t.Fatalf("I3: an acknowledged post of %d events is gone", stored)
			}
			p.acked[k] = true
		}
	}
	return len(events)
}
