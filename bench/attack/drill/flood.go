package drill

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// A flood is requests of one kind at a fixed rate. It is armed when the relay has
// begun to refuse them. Safe for several goroutines.
type flood struct {
	name      string
	rate      int // requests a second
	addresses int // that the proxy names in turn
	most      int // how many may be taken; 0: as the drill says, -1: none
	// every is after how long each address may have one more; 0: never.
	every time.Duration
	// request makes request i. s is a slot of the attacker.
	request func(i int, s client.Slot) (method, path, token string, body []byte)
	// takes is the status of a request that took something, and refusals are the
	// others that may come.
	takes    int
	refusals []int

	taken, refused atomic.Int64

	mu      sync.Mutex // guards what follows
	strange int64      // other answers, and failed requests
	first   string     // of those
}

// floodWorkers is how many connections a flood has.
const floodWorkers = 8

// attack floods until ctx ends. A request that is late because the relay is slow is
// sent late: the flood never has more under way than it has connections.
func (f *flood) attack(c *http.Client, s client.Slot) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		armed = sync.OnceFunc(armed)
		began := time.Now()
		var next atomic.Int64
		var wg sync.WaitGroup
		for range floodWorkers {
			wg.Go(func() {
				for {
					i := int(next.Add(1) - 1)
					if !client.Pause(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(f.rate)))) {
						return
					}
					f.one(ctx, c, r, s, i)
					if f.refused.Load() > 0 || r.Relay.Ended() {
						armed()
					}
				}
			})
		}
		wg.Wait()
		return nil
	}
}

// one sends request i and counts its answer.
func (f *flood) one(ctx context.Context, c *http.Client, r *Scene, s client.Slot, i int) {
	method, path, token, body := f.request(i, s)
	from := fmt.Sprint("198.51.100.", 1+i%f.addresses)
	a, err := r.Relay.Meet(ctx, c, from, method, path, token, body)
	switch {
	case err == nil && a.Status == f.takes:
		f.taken.Add(1)
		return
	case err == nil:
		for _, status := range f.refusals {
			if a.Status == status {
				f.refused.Add(1)
				return
			}
		}
		err = fmt.Errorf("status %d: %.200s", a.Status, a.Body)
	case ctx.Err() != nil:
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.strange++; f.strange == 1 {
		f.first = err.Error()
	}
}

// strangeAnswers says which answers the contract does not have.
func (f *flood) strangeAnswers() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.strange == 0 {
		return nil
	}
	return fmt.Errorf("%d %s, such as %s", f.strange, f.name, f.first)
}

// claims claims a new nick each time.
func claims() *flood {
	return &flood{name: "claims", takes: 201, refusals: []int{429, 503}, request: func(i int, s client.Slot) (string, string, string, []byte) {
		return "POST", "/v1/handle/claim", s.Token, client.NewAgent(fmt.Sprintf("flood-%06d", i)).Claim(s)
	}}
}

// introductions introduces a new agent to the honest one each time. Every other one
// is signed wrongly.
func introductions() *flood {
	const perAddress = 5
	return &flood{name: "introductions", takes: 201, refusals: []int{400, 429}, most: perAddress, every: time.Minute, request: func(i int, _ client.Slot) (string, string, string, []byte) {
		agent := client.NewAgent(fmt.Sprintf("junk-%06d", i))
		return "POST", "/v1/handle/intro/" + client.HonestNick, "", agent.Introduction(i, i/8%2 == 0)
	}}
}

// invites registers invites whose URLs are as long as they may be.
func invites() *flood {
	return &flood{name: "invites", takes: 201, refusals: []int{429, 503}, request: func(i int, _ client.Slot) (string, string, string, []byte) {
		return "POST", "/v1/invite/register", "", relay.InviteBody(fmt.Sprintf("flood%d-%s", i, strings.Repeat("x", 8000)), 1)
	}}
}

// pairs opens pairs with messages as long as they may be.
func pairs() *flood {
	return &flood{name: "pairs", takes: 201, refusals: []int{429, 503}, request: func(i int, _ client.Slot) (string, string, string, []byte) {
		return "POST", "/v1/pair", "", relay.PairBody(fmt.Sprint("flood", i), strings.Repeat("x", 8<<10), "host")
	}}
}

// guesses looks for pairs and invites of others.
func guesses() *flood {
	return &flood{name: "guesses", takes: 200, refusals: []int{404, 429}, most: -1, request: func(i int, _ client.Slot) (string, string, string, []byte) {
		var id [16]byte
		rand.Read(id[:])
		if i%2 == 0 {
			return "GET", fmt.Sprintf("/v1/pair/%x?as_role=guest", id), "", nil
		}
		return "GET", fmt.Sprintf("/i/%x", id[:8]), "", nil
	}}
}
