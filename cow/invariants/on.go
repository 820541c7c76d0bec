//go:build invariants || race

package invariants

import (
	"hash/maphash"
	"math/rand/v2"
)

// Enabled says whether this build checks itself as it runs.
const Enabled = true

var seed = maphash.MakeSeed()

// Sum guards bytes that must not change.
type Sum struct {
	sum    uint64
	frozen []byte
}

// Freeze remembers what the bytes are.
func (s *Sum) Freeze(data []byte) {
	s.sum, s.frozen = maphash.Bytes(seed, data), data
}

// Check panics if they have changed. It looks on every sixteenth call or so, or
// the tests would take too long.
func (s *Sum) Check() {
	if len(s.frozen) > 0 && rand.Uint32()%16 == 0 && maphash.Bytes(seed, s.frozen) != s.sum {
		panic("BUG: I1: a sealed segment has changed")
	}
}
