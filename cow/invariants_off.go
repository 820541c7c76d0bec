//go:build !invariants && !race

package cow

// Invariants says whether this build checks itself as it runs.
const Invariants = false

type segmentCheck struct{}

func (g *segment) freeze(uint32) {}
func (g *segment) check()        {}
