package drill

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// A flood is requests of one kind at a fixed rate. Unless it is open, it is armed
// when the relay has begun to refuse them. Safe for several goroutines.
type flood struct {
	name      string
	rate      int // requests a second
	addresses int // that the proxy names in turn; 0: the requests come without a proxy
	most      int // how many may be taken; 0: as the drill says, -1: none
	// every is after how long each address may have one more; 0: never.
	every time.Duration
	// open says that nothing has to refuse it: it is armed by its first answer.
	open    bool
	content string // type of the bodies; "": JSON
	// slots are the attacker's, for floods that need several.
	slots []client.Slot
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
					if f.refused.Load() > 0 || f.open && f.taken.Load() > 0 || r.Relay.Ended() {
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
	q := client.Request{Method: method, URL: "http://" + r.Relay.Addr + path, Token: token, Type: f.content, Body: body}
	if f.addresses > 0 {
		q.From = fmt.Sprint("198.51.100.", 1+i%f.addresses)
	}
	answer, got, err := client.Exchange(ctx, c, q)
	switch {
	case err == nil && got == f.takes:
		f.taken.Add(1)
		return
	case err == nil:
		for _, status := range f.refusals {
			if got == status {
				f.refused.Add(1)
				return
			}
		}
		err = fmt.Errorf("status %d: %.200s", got, answer)
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

// noStrangeAnswers adds the bar that all answers were in the contract.
func noStrangeAnswers(r *Scene, floods []*flood) {
	var strange []error
	for _, f := range floods {
		strange = append(strange, f.strangeAnswers())
	}
	r.Bar("no strange answer to the flood", errors.Join(strange...), "none")
}

// slotFloods runs floods side by side, each on so many slots of its own. Those
// without a proxy come from another address.
func slotFloods(ctx context.Context, r *Scene, armed func(), slots int, floods []*flood) error {
	var all []Attack
	for _, f := range floods {
		ip := atOne.ip(0)
		if f.addresses > 0 {
			ip = client.ProxyIP
		}
		c, done := client.At(ip, floodWorkers)
		defer done()
		f.slots = nil
		for range slots {
			s, err := r.Relay.Allocate(ctx, client.Fresh)
			if err != nil {
				return ignoreEnd(ctx, r, err)
			}
			f.slots = append(f.slots, s)
		}
		all = append(all, f.attack(c, f.slots[0]))
	}
	return join(all...)(ctx, r, armed)
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
