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
	frozen uint32 // of so many bytes; 0 is none
}

// freeze remembers what the first n bytes are.
func (g *segment) freeze(n uint32) {
	g.sum, g.frozen = maphash.Bytes(checkSeed, g.data[:n]), n
}

// check panics, on some of its calls, when a sealed segment has changed.
func (g *segment) check() {
	if n := g.frozen; n > 0 && rand.Uint32()%16 == 0 && maphash.Bytes(checkSeed, g.data[:n]) != g.sum {
		panic("BUG: I1: a sealed segment has changed")
	}
}
