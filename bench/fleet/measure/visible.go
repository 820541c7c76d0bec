package measure

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cowrelay/bench/fleet/call"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
)

// visibleRate is how many events are posted a second.
const visibleRate = 200

// visible times events from their acknowledgement by one relay until a stream of
// another relay brings them.
func (b *bench) visible(ctx context.Context) error {
	b.cfg.Step("visible on another relay")
	c := call.NewClient(call.NewRecorder(), b.fleet.Relays(), nil)
	defer c.Close()
	s, k := c.Allocate(ctx, 0)
	if k.Status != 201 {
		return fmt.Errorf("no slot: status %d", k.Status)
	}
	var mu sync.Mutex
	seen := map[string]time.Time{}
	streamCtx, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { // ends with streamCtx
		ended <- c.Stream(streamCtx, 1, s, call.Cursor{}, func(f call.Frame) {
			now := time.Now()
			mu.Lock()
			seen[f.ID] = now
			mu.Unlock()
		})
	}()
	sent, answered := map[string]time.Time{}, map[string]time.Time{}
	tick := time.NewTicker(time.Second / visibleRate)
	defer tick.Stop()
	for i := range b.cfg.Visible {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		id := fmt.Sprintf("visible-%d", i)
		sent[id] = time.Now()
		if k := c.Post(ctx, 0, s, call.Event{Key: id, ID: id, Text: fmt.Sprintf(`{"event_id":%q,"pad":"%0*d"}`, id, b.cfg.EventBytes-60, 0)}); k.Status != 201 {
			end()
			<-ended
			return fmt.Errorf("status %d %s", k.Status, k.Text)
		}
		answered[id] = time.Now()
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		mu.Lock()
		n := len(seen)
		mu.Unlock()
		if n == len(answered) || time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	end()
	err := <-ended
	for _, from := range []struct {
		what string
		at   map[string]time.Time
	}{{"the answer of one relay", answered}, {"the post to one relay", sent}} {
		sample := load.Sample{Hist: load.NewHistogram(), Seconds: float64(len(answered)) / visibleRate}
		for id, at := range from.at {
			if t, ok := seen[id]; ok {
				sample.Hist.Record(max(0, t.Sub(at))) // it may be there before the answer
				sample.Ops++
			} else {
				sample.Errors++
				sample.FirstError = fmt.Sprintf("%s did not come: %v", id, err)
			}
		}
		sample.Latency = sample.Hist.Latency()
		b.emit(report.Compare(report.Subject{
			Scenario: "fleet-visible", Unit: "events",
			Variant: fmt.Sprintf("%d events of %d B, %d a second, from %s to a stream of another", len(answered), b.cfg.EventBytes, visibleRate, from.what),
		}, []load.Sample{sample}, nil, report.TailP99))
	}
	return nil
}
