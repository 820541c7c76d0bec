package fasthttp

import (
	"context"
	"testing"
	"time"
)

// Requests wait for memory with all the patience there is, when a drain's time is
// up. They are answered, before the store is closed, and nothing waits on.
func TestDrain_EndsWhatWaitsForLoads(t *testing.T) {
	g := newRig(t, func(o *rigOptions) {
		o.store.MemoryBudget = 1_500_000
		o.store.LoadPatience, o.store.LoadTimeout, o.store.QueueTimeout = time.Hour, time.Hour, time.Hour
	})
	var cold []mailbox
	for range 8 {
		m := g.allocate()
		m.post(eventN(0)).want(g, 201)
		cold = append(cold, m)
	}
	g.restart()
	g.store.Charge(1_500_000) // memory is full of what does not leave
	type result struct {
		what string
		r    reply
		err  error
	}
	replies := make(chan result)
	for _, m := range cold {
		for what, send := range map[string]func() (reply, error){
			"pull": func() (reply, error) { return m.tryCall("GET", "/v1/events/"+m.id, m.token, nil) },
			"post": func() (reply, error) {
				return m.tryCall("POST", "/v1/events/"+m.id, m.token, `{"event":`+eventN(1)+`}`)
			},
			"stream": func() (reply, error) {
				return m.tryCall("GET", "/v1/events/"+m.id+"/stream", m.token, nil, "Last-Event-ID", "e0")
			},
		} {
			go func() {
				r, err := send()
				replies <- result{what, r, err}
			}()
		}
	}
	time.Sleep(100 * time.Millisecond) // none can be answered; more of them wait
	select {
	case a := <-replies:
		t.Fatalf("a %s was answered without memory: %d %s, %v", a.what, a.r.status, a.r.body, a.err)
	default:
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- g.relay.Drain(ctx, 0) }()
	for range 3 * len(cold) {
		select {
		case a := <-replies:
			if a.err != nil || a.r.status != 503 {
				t.Errorf("%s: %d %s, %v; want 503", a.what, a.r.status, a.r.body, a.err)
			}
		case <-time.After(25 * time.Second):
			t.Fatal("a request that waits for memory is not answered")
		}
	}
	select {
	case <-drained:
	case <-time.After(25 * time.Second):
		t.Fatal("the drain hangs")
	}
}
