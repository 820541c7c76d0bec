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
