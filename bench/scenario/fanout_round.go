package scenario

import (
	"context"
	"fmt"
	"time"

	"cowrelay/bench/wire"
)

// post posts one event. more is false if the slot has no room for another.
func (f *fanoutRound) post(ctx context.Context, p NumberPoster) (more bool, err error) {
	i := f.taken.Add(1) - 1
	if i >= int64(len(f.sentNs)) {
		return false, nil
	}
	f.sentNs[i].Store(int64(time.Since(f.began)))
	if err := p.PostNumber(ctx, f.base+uint64(i)); err != nil {
		return true, err
	}
	f.acked.Add(1)
	return true, nil
}

// delivered returns how many events all streams have got.
func delivered(streams []*StreamReader) (n int64) {
	for _, st := range streams {
		n += st.n.Load()
	}
	return n
}

// await waits until every stream has every acknowledged event.
func (f *fanoutRound) await(ctx context.Context, streams []*StreamReader) {
	end := time.Now().Add(wire.AnswerGrace)
	for want := f.acked.Load() * int64(len(streams)); delivered(streams) < want; {
		if ctx.Err() != nil || time.Now().After(end) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// verify counts what is missing at each stream, what came twice, and what came
// and was not acknowledged.
func (f *fanoutRound) verify(streams []*StreamReader) {
	want := f.acked.Load()
	for i, st := range streams {
		if n := st.n.Load(); n != want {
			f.log.AddN(max(want-n, n-want), fmt.Errorf("stream %d got %d events of %d", i, n, want))
		}
	}
	seen := make([]bool, len(f.order))
	for pos := range min(want, int64(len(f.order))) {
		v := f.order[pos].Load()
		if v == 0 {
			continue // it is missing, which was counted above
		}
		if i := v - 1 - f.base; seen[i] {
			f.log.Add(fmt.Errorf("event %d was delivered twice, the second time at position %d", i, pos))
		} else {
			seen[i] = true
		}
	}
}
