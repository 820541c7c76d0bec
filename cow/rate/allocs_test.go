//go:build !race

package rate

import (
	"runtime"
	"testing"
)

// R4: an act of a known key, allowed or not, allocates nothing.
func TestAllocs_KnownKey(t *testing.T) {
	l := NewLimiter[uint64](PerSecond(10, 50), 10)
	l.Allow(7, 0)
	if n := testing.AllocsPerRun(1000, func() { l.Allow(7, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What the comment at NewLimiter says.
func TestAllocs_BytesAKey(t *testing.T) {
	const keys = 1 << 16
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := NewLimiter[uint64](PerSecond(10, 50), keys)
	for i := range uint64(keys) {
		l.Allow(i, 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / keys
	t.Logf("%.0f bytes a key", each)
	if each > 110 {
		t.Errorf("%.0f bytes a key", each)
	}
	runtime.KeepAlive(l)
}
