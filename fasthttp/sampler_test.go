package fasthttp

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

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
		h := openHistory(journaltest.NewMemory(), func() error { <-hang; return nil }, slog.New(slog.DiscardHandler))
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

// What the relay did between two rows is in the second.
func TestMeter(t *testing.T) {
	g := newRig(t)
	m := newMeter(g.relay)
	box := g.allocate()
	box.fill(3)
	box.post(eventN(1)).want(t, 200)
	box.pull("")
	box.pull("?since=e1")
	g.call("GET", "/nope", "", nil).want(t, 404)
	// Requests are counted when their replies are on their way.
	g.eventually("all are counted", func() bool { return m.count().requests == 8 })
	r := m.row(60)
	for col, want := range map[int]int64{
		colTS: 60, colSlots: 1, colSlotAllocations: 1, colEventsPosted: 3, colStored: 3, colDuplicates: 1, colPulls: 2,
		colRequests: 8, colFailures: 0, colRefused: 0, colLimited: 0, colEvents: 3, colLagP99: noValue,
	} {
		if r[col] != want {
			t.Errorf("%s is %d, want %d", columnNames[col], r[col], want)
		}
	}
	if r[colCommits] < 3 || r[colCommitP50] <= 0 || r[colCommitP99] < r[colCommitP50] || r[colResident] < 1<<20 || r[colSlotMemory] <= 0 || r[colSpan] < 0 || r[colCPU] < 0 {
		t.Errorf("%v", r)
	}
	if r := m.row(90); r[colStored] != 0 || r[colPulls] != 0 || r[colRequests] != 0 || r[colCommitP99] != noValue || r[colEventsPosted] != 3 {
		t.Errorf("of a time without requests: %v", r)
	}
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
