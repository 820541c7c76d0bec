package stats

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// The sampler by itself, in virtual time: a row at each multiple of 30 s, none
// after it was stopped.
func TestSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := journaltest.NewMemory()
		s := startSampler(newHistory(records), 30*time.Second, func(ts int64) *row { return &row{colTS: ts} })
		time.Sleep(17 * time.Second)
		begin := time.Now().Unix()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		list := s.history.times()
		if len(list) != 20 || list[0] <= begin || list[0] > begin+30 {
			t.Errorf("rows from %d on: %v", begin, list)
		}
		for _, ts := range list {
			if ts%30 != 0 {
				t.Errorf("a row of %d", ts)
			}
		}
		s.stop(t.Context())
		time.Sleep(time.Hour)
		if n := len(s.history.times()); n != 20 {
			t.Errorf("%d rows after the stop, want 20", n)
		}
		if got := newHistory(records).times(); !slices.Equal(got, list) {
			t.Errorf("the records hold %v", got)
		}
	})
}

// A drain does not wait for ever for a disk that hangs.
func TestSampler_StopWhileItHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		h := openHistory(journaltest.NewMemory(), historyPrefix, func() error { <-hang; return nil }, slog.New(slog.DiscardHandler))
		s := startSampler(h, 30*time.Second, func(ts int64) *row { return &row{colTS: ts} })
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		s.stop(ctx)
		if took := time.Since(start); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("the stop took %v", took)
		}
		close(hang)
		<-s.done
		if n := len(newHistory(h.records).times()); n != 0 {
			t.Errorf("%d rows were written after the stop", n)
		}
	})
}

// What happened between two rows is in the second.
func TestMeter(t *testing.T) {
	from := newSources(t)
	m := newMeter(from)
	id, _, _, err := from.Store.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	slot := from.Store.Slot(id)
	for _, event := range []string{"a", "b", "c", "b"} {
		p := from.Store.NewPost()
		if err := p.Accept([]byte(`{"event":{"event_id":"` + event + `"}}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Commit(slot); err != nil {
			t.Fatal(err)
		}
		p.Release()
	}
	for _, reply := range []struct{ op, status int }{
		{other, 201}, {other, 201}, {other, 201}, {other, 201}, {pulls, 200}, {other, 200}, {pulls, 200}, {other, 404},
		{pulls, 429}, {other, 429}, {other, 500}, {other, 503},
	} {
		from.Requests.Count(reply.op, reply.status, time.Millisecond)
	}
	from.Requests.Count(other, 400, -1) // of a request that nobody could read
	r := m.row(60)
	for col, want := range map[int]int64{
		colTS: 60, colSlots: 1, colSlotAllocations: 1, colEventsPosted: 3, colStored: 3, colDuplicates: 1, colPulls: 2,
		colRequests: 12, colFailures: 2, colRefused: 0, colLimited: 2, colEvents: 3, colLagP99: noValue,
		colStreams: 7, colConnections: 8, colLongPolls: 9, colHandles: 10, colPairs: 6, colHandleClaims: 11, colHandleFirstClaims: 12, colPairOpens: 13,
	} {
		if r[col] != want {
			t.Errorf("%s is %d, want %d", columnNames[col], r[col], want)
		}
	}
	if r[colCommits] < 3 || r[colCommitP50] <= 0 || r[colCommitP99] < r[colCommitP50] || r[colResident] < 1<<20 || r[colSlotMemory] <= 0 || r[colSpan] < 0 || r[colCPU] < 0 {
		t.Errorf("%v", r)
	}
	from.Lag.Observe(30 * time.Millisecond)
	r = m.row(90)
	if r[colStored] != 0 || r[colPulls] != 0 || r[colRequests] != 0 || r[colCommitP99] != noValue || r[colEventsPosted] != 3 {
		t.Errorf("of a time without requests: %v", r)
	}
	if lag := time.Duration(r[colLagP99]); lag <= 10*time.Millisecond || lag > 50*time.Millisecond {
		t.Errorf("a lag of 30ms shows as %v", lag)
	}
}

// Operations of newSources.
const (
	pulls = iota
	other
)

// newSources are those of a store in memory.
func newSources(t *testing.T) Sources {
	t.Helper()
	from := Sources{
		Requests: NewRequests([]Operation{{Route: "events", Method: "GET"}, {Route: "other", Method: "POST"}}), Pulls: []int{pulls}, Commits: NewCommits(), Lag: NewHistogram(LagBounds),
		Streams: func() int64 { return 7 }, Connections: func() int64 { return 8 }, LongPolls: func() int64 { return 9 },
		Handles: func() int64 { return 10 },
		Pairs:   func() int64 { return 6 },
	}
	m := journaltest.NewMemory()
	if err := m.Count(cow.Totals{HandleClaims: 11, HandleFirstClaims: 12, PairOpens: 13}); err != nil {
		t.Fatal(err)
	}
	var err error
	from.Store, err = cow.Open(m, m, cow.Options{Committed: func(posts, _ int, took time.Duration) { from.Commits.Batch(posts, took) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := from.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	return from
}

func TestQuantile(t *testing.T) {
	bounds := []time.Duration{10, 20, 40}
	for _, c := range []struct {
		from, to []uint64
		q        float64
		want     int64
	}{
		{[]uint64{5, 5, 5, 5}, []uint64{5, 5, 5, 5}, 0.5, noValue},
		{[]uint64{0, 0, 0, 0}, []uint64{10, 0, 0, 0}, 0.5, 5},
		{[]uint64{7, 0, 0, 0}, []uint64{17, 0, 10, 0}, 0.5, 10},
		{[]uint64{0, 0, 0, 0}, []uint64{10, 0, 10, 0}, 0.75, 30},
		{[]uint64{0, 0, 0, 1}, []uint64{0, 0, 0, 4}, 0.99, 40},
		{[]uint64{0, 0, 0, 0}, []uint64{0, 100, 0, 0}, 1, 20},
	} {
		if got := quantile(bounds, c.from, c.to, c.q); got != c.want {
			t.Errorf("%v of %v to %v: %d, want %d", c.q, c.from, c.to, got, c.want)
		}
	}
}
