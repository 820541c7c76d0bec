package drill

import (
	"context"
	"fmt"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
	"cowrelay/bench/wire"
)

const (
	// batchEvents is how many events a request of the flood has: as many as may be.
	batchEvents = 1000
	// batchSlots is how many slots take the flood in turn.
	batchSlots = 16
	// A client may post so many events a second, and so many at once, where nobody
	// has set other limits.
	usualPosts, usualBurst = 1000, 5000
)

// batchesDrill floods the relay with requests of as many events as may be: new ones,
// ones that are there already, and ones of which the last line is wrong. They come
// from addresses of this machine, which have no limits of rates. The same flood of
// new events comes from one address behind a proxy, with the usual limits.
var batchesDrill = Drill{
	Name: "batches", what: "floods of posts with 1,000 events each: new, there already, faulty",
	Variants: func(c Scale) []Variant {
		rate := c.Of(32, 16)
		stored, again, faulty, limited := newBatches("a"), sameBatches(), faultyBatches(), newBatches("b")
		stored.open, again.open, faulty.open = true, true, true
		stored.rate, again.rate, faulty.rate = rate, rate/2, rate/2
		limited.rate, limited.addresses = rate, 1
		floods := []*flood{stored, again, faulty, limited}
		return []Variant{{
			Name:  fmt.Sprintf("%d requests a second with %d events each, half of them new, and %d a second behind a proxy", 2*rate, batchEvents, rate),
			Relay: relay.Args{Flags: []string{"--trusted-proxies=" + client.ProxyIP.String()}},
			Attack: func(ctx context.Context, r *Scene, armed func()) error {
				return slotFloods(ctx, r, armed, batchSlots, floods)
			},
			During: func(_ context.Context, r *Scene) {
				noStrangeAnswers(r, floods)
				limited.eventsBar(r)
			},
		}}
	},
}

// newBatches posts new events until its slots are full.
func newBatches(name string) *flood {
	f := &flood{name: "batches", takes: 201, refusals: []int{413, 429, 503}, content: wire.EventLines}
	f.request = func(i int, _ client.Slot) (string, string, string, []byte) {
		s := f.slots[i%len(f.slots)]
		return "POST", "/v1/events/" + s.ID, s.Token, client.Events(fmt.Sprintf("batch-%s-%06d", name, i), batchEvents, client.SmallEvent)
	}
	return f
}

// sameBatches posts the same events again and again.
func sameBatches() *flood {
	body := client.Events("batch-again", batchEvents, client.SmallEvent)
	f := &flood{name: "batches that are there already", takes: 200, refusals: []int{201, 429, 503}, content: wire.EventLines}
	f.request = func(i int, _ client.Slot) (string, string, string, []byte) {
		s := f.slots[i%len(f.slots)]
		return "POST", "/v1/events/" + s.ID, s.Token, body
	}
	return f
}

// faultyBatches posts events of which the last one is none.
func faultyBatches() *flood {
	body := append(client.Events("batch-faulty", batchEvents-1, client.SmallEvent), `{"event_id":"x","a":}`...)
	f := &flood{name: "faulty batches", takes: 400, refusals: []int{429, 503}, content: wire.EventLines}
	f.request = func(i int, _ client.Slot) (string, string, string, []byte) {
		s := f.slots[i%len(f.slots)]
		return "POST", "/v1/events/" + s.ID, s.Token, body
	}
	return f
}

// eventsBar checks that limits count events, and not requests. A request that came
// while some of the burst was left may have been taken whole.
func (f *flood) eventsBar(r *Scene) {
	taken, refused := f.taken.Load(), f.refused.Load()
	most := int64(usualBurst/batchEvents) + int64(r.Lasted/time.Second+1)*usualPosts/batchEvents + 1
	seen := fmt.Sprintf("%d batches taken, %d refused in %.0f s", taken, refused, r.Lasted.Seconds())
	var err error
	if taken == 0 || taken > most || refused == 0 {
		err = fmt.Errorf("%s, bound is %d", seen, most)
	}
	r.Bar("limits of rates count events", err, seen)
}
