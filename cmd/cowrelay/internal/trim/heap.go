package trim

import (
	"runtime/debug"
	"runtime/metrics"
)

const (
	// quietBytes is how much a quiet process allocates between two looks at most. A
	// relay that only sends heartbeats allocates less than a tenth of it.
	quietBytes = 4 << 20
	// wasteBytes is how much must be there to give back: a collection takes some
	// 50 ms of CPU time.
	wasteBytes = 16 << 20
)

// A heapWatch gives the heap's memory back when the process has become quiet. By
// itself, a process that allocates little collects every two minutes, and keeps
// what a burst has left for longer.
type heapWatch struct {
	allocated uint64 // at the last look
}

var heapMetrics = []string{
	"/gc/heap/allocs:bytes", // since the start
	"/gc/heap/live:bytes",   // at the last collection
	"/memory/classes/heap/objects:bytes",
	"/memory/classes/heap/unused:bytes",
	"/memory/classes/heap/free:bytes",
}

// look says whether the process has been quiet since the last look, and how much it
// gave back, 0 if nothing.
func (h *heapWatch) look() (quiet bool, freed uint64) {
	allocated, waste := readHeap()
	quiet = h.allocated > 0 && allocated-h.allocated <= quietBytes
	h.allocated = allocated
	if !quiet || waste < wasteBytes {
		return quiet, 0
	}
	debug.FreeOSMemory()
	if _, left := readHeap(); left < waste {
		freed = waste - left
	}
	return quiet, freed
}

// readHeap returns how much was allocated since the start, and about how much of
// what the heap holds nobody needs: what died since the last collection, and free
// memory that is not given back.
func readHeap() (allocated, waste uint64) {
	s := make([]metrics.Sample, len(heapMetrics))
	for i, name := range heapMetrics {
		s[i].Name = name
	}
	metrics.Read(s)
	live, objects, unused, free := s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64(), s[4].Value.Uint64()
	// What the last collection found alive may have died since, and nobody can say.
	return s[0].Value.Uint64(), objects - min(live, objects) + free + unused/2
}
