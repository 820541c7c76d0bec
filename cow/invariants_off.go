//go:build !invariants && !race

package cow

// Invariants says whether this build checks itself as it runs.
const Invariants = false

type segmentCheck struct{}

func (*segmentCheck) freeze([]byte) {}
func (*segmentCheck) check()        {}
