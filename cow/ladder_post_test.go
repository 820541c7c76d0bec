package cow_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"cowrelay/cow"
)

// slotRoom is when a benchmark goes on in a new slot, so that what it keeps
// stays small however long it runs.
const slotRoom = 16 << 20

// BenchmarkPost posts events of a size to a slot for each goroutine, on a
// journal in memory: what a disk takes is not in it.
func BenchmarkPost(b *testing.B) {
	for _, size := range []int{64, 512, 4 << 10, 64 << 10} {
		run := func(impl string, poster func() func(body []byte) (bool, error)) {
			b.Run(fmt.Sprintf("impl=%s/size=%d", impl, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				var goroutines atomic.Uint64
				b.RunParallel(func(pb *testing.PB) {
					post, body := poster(), ladderBody(0, size)
					for n := goroutines.Add(1) << 40; pb.Next(); n++ {
						setLadderID(body, n)
						if dup, err := post(body); dup || err != nil {
							b.Errorf("duplicate %v, error %v", dup, err)
							return
						}
					}
				})
			})
		}
		f := open(b, cow.Options{})
		run("cow", func() func([]byte) (bool, error) {
			slot, used := f.slot(), 0
			return func(body []byte) (bool, error) {
				if used += size; used > slotRoom {
					if err := f.Remove(slot); err != nil {
						return false, err
					}
					slot, used = f.slot(), size
				}
				p := f.NewPost()
				defer p.Release()
				if err := p.Accept(body); err != nil {
					return false, err
				}
				return p.Commit(slot)
			}
		})
		f.close()
		run("plain", func() func([]byte) (bool, error) {
			slot, used := newPlainSlot(), 0
			return func(body []byte) (bool, error) {
				if used += size; used > slotRoom {
					slot, used = newPlainSlot(), size
				}
				return slot.post(body)
			}
		})
	}
}

// BenchmarkPostLines posts events of a size to a slot, n in a post of many and one by
// one, on a journal in memory. What is counted is one event.
func BenchmarkPostLines(b *testing.B) {
	const size = 512
	for _, n := range []int{10, 100, 1000} {
		bodies := func() (ones [][]byte) {
			for range n {
				ones = append(ones, ladderBody(0, size))
			}
			return ones
		}
		number := func(ones [][]byte, next *uint64) {
			for _, body := range ones {
				*next++
				setLadderID(body, *next)
			}
		}
		bench := func(impl string, post func(f *fixture, slot *cow.Slot, ones [][]byte, room []byte) ([]byte, error)) {
			b.Run(fmt.Sprintf("impl=%s/n=%d", impl, n), func(b *testing.B) {
				f := open(b, cow.Options{})
				slot, used, id := f.slot(), 0, uint64(0)
				ones := bodies()
				var room []byte
				b.ReportAllocs()
				b.SetBytes(size)
				for i := 0; i < b.N; i += n {
					if used += n * size; used > slotRoom {
						if err := f.Remove(slot); err != nil {
							b.Fatal(err)
						}
						slot, used = f.slot(), n*size
					}
					number(ones, &id)
					var err error
					if room, err = post(f, slot, ones, room[:0]); err != nil {
						b.Fatal(err)
					}
				}
				f.close()
			})
		}
		bench("lines", func(f *fixture, slot *cow.Slot, ones [][]byte, room []byte) ([]byte, error) {
			for _, one := range ones {
				room = append(append(room, one[len(`{"event":`):len(one)-1]...), '\n')
			}
			p := f.NewPost()
			defer p.Release()
			if err := p.AcceptLines(room); err != nil {
				return room, err
			}
			stored, _, _, err := p.CommitLines(slot)
			if err == nil && stored != len(ones) {
				err = fmt.Errorf("%d of %d events are stored", stored, len(ones))
			}
			return room, err
		})
		bench("one-by-one", func(f *fixture, slot *cow.Slot, ones [][]byte, room []byte) ([]byte, error) {
			for _, one := range ones {
				p := f.NewPost()
				err := p.Accept(one)
				if err == nil {
					_, err = p.Commit(slot)
				}
				p.Release()
				if err != nil {
					return room, err
				}
			}
			return room, nil
		})
	}
}
