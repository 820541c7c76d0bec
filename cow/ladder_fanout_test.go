package cow_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"cowrelay/cow"
)

// fanoutSize is the size of an event of BenchmarkFanout.
const fanoutSize = 512

// BenchmarkFanout posts one event and waits until each subscriber, a goroutine
// as a connection is, has taken its frame.
func BenchmarkFanout(b *testing.B) {
	for _, subs := range []int{1, 10, 100, 256} {
		run := func(impl string, start func(b *testing.B, taken *sync.WaitGroup) (post func([]byte) (bool, error), stop func())) {
			b.Run(fmt.Sprintf("impl=%s/subs=%d", impl, subs), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(subs * fanoutSize))
				body := ladderBody(0, fanoutSize)
				var taken sync.WaitGroup
				post, stop := start(b, &taken)
				n := uint64(0)
				for b.Loop() {
					if n++; n%(slotRoom/fanoutSize) == 0 {
						b.StopTimer()
						stop()
						post, stop = start(b, &taken)
						b.StartTimer()
					}
					setLadderID(body, n)
					taken.Add(subs)
					if dup, err := post(body); dup || err != nil {
						b.Fatalf("duplicate %v, error %v", dup, err)
					}
					taken.Wait()
				}
				stop()
				b.ReportMetric(float64(n)*float64(subs)/b.Elapsed().Seconds(), "deliveries/s")
			})
		}
		run("cow", func(b *testing.B, taken *sync.WaitGroup) (func([]byte) (bool, error), func()) {
			f := open(b, cow.Options{})
			slot, end := f.slot(), make(chan struct{})
			var readers sync.WaitGroup
			for range subs {
				st := f.subscribe(slot, false, "")
				to := sockets.Get().(*socket)
				readers.Go(func() { takeFrames(b, st, to, taken, end); sockets.Put(to) })
			}
			post := func(body []byte) (bool, error) {
				p := f.NewPost()
				defer p.Release()
				if err := p.Accept(body); err != nil {
					return false, err
				}
				return p.Commit(slot)
			}
			return post, func() { close(end); readers.Wait(); f.close() }
		})
		run("plain", func(_ *testing.B, taken *sync.WaitGroup) (func([]byte) (bool, error), func()) {
			slot := newPlainSlot()
			var readers sync.WaitGroup
			for range subs {
				c := make(chan map[string]any, 16)
				slot.subs = append(slot.subs, c)
				to := sockets.Get().(*socket)
				readers.Go(func() { takeClones(c, to, taken); sockets.Put(to) })
			}
			return slot.post, func() {
				for _, c := range slot.subs {
					close(c)
				}
				readers.Wait()
			}
		})
	}
}

// takeFrames reads a subscriber as a connection does, until end.
func takeFrames(b *testing.B, st *stream, to *socket, taken *sync.WaitGroup, end <-chan struct{}) {
	defer st.Close()
	const frame = len("200\r\nid: \ndata: \n\n\r\n") + ladderIDDigits + fanoutSize
	for have := 0; ; {
		data, err := st.piece()
		if err != nil {
			b.Error(err)
			return
		}
		if data == nil {
			select {
			case <-st.bell:
				continue
			case <-end:
				return
			}
		}
		to.Write(data)
		st.Wrote(len(data))
		for have += len(data); have >= frame; have -= frame {
			taken.Done()
		}
	}
}

// takeClones writes each event that comes as a frame.
func takeClones(c <-chan map[string]any, to *socket, taken *sync.WaitGroup) {
	for event := range c {
		if data, err := json.Marshal(event); err == nil {
			frame := fmt.Sprintf("id: %s\ndata: %s\n\n", event["event_id"], data)
			fmt.Fprintf(to, "%x\r\n%s\r\n", len(frame), frame)
			taken.Done()
		}
	}
}
