package conn

import (
	"runtime"
	"runtime/debug"
	"time"
)

// calm is how long after a burst its memory is given back to the system. What
// the burst left is in pools, which let go of it in two collections, and a relay
// that does little collects every two minutes.
const calm = 3 * time.Second

// Burst says whether memory of a burst of requests is still to be given back.
func (a *Arrivals) Burst() bool { return a.burst.Load() }

func (a *Arrivals) sweepLater() {
	a.sweepMu.Lock()
	defer a.sweepMu.Unlock()
	if a.sweep == nil {
		a.sweep = time.AfterFunc(calm, func() {
			a.sweepMu.Lock()
			a.sweep = nil
			a.sweepMu.Unlock()
			if a.Used() < a.limit/8 && a.burst.CompareAndSwap(true, false) {
				runtime.GC()
				debug.FreeOSMemory()
			}
		})
	}
}

// Stop ends what would run later.
func (a *Arrivals) Stop() {
	a.sweepMu.Lock()
	defer a.sweepMu.Unlock()
	if a.sweep != nil {
		a.sweep.Stop()
	}
}
