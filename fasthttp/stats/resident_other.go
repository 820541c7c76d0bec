//go:build !linux

package stats

import "runtime/metrics"

// residentBytes returns the memory that the Go runtime has from the system and has
// not given back. Where there is no /proc, that is nearest to what is in RAM.
func residentBytes() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}
