//go:build invariants || race

package cow

import (
	"hash/maphash"
	"math/rand/v2"
)

// Invariants says whether this build checks itself as it runs.
const Invariants = true

var checkSeed = maphash.MakeSeed()

// segmentCheck holds a checksum of a sealed segment (I1).
type segmentCheck struct {
	sum    uint64
	frozen []byte
}

// freeze remembers what the bytes of the segment are.
func (c *segmentCheck) freeze(data []byte) {
	c.sum, c.frozen = maphash.Bytes(checkSeed, data), data
}

// check panics, on some of its calls, when a sealed segment has changed.
func (c *segmentCheck) check() {
	if len(c.frozen) > 0 && rand.Uint32()%16 == 0 && maphash.Bytes(checkSeed, c.frozen) != c.sum {
		panic("BUG: I1: a sealed segment has changed")
	}
}
