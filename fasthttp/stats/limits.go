package stats

import (
	"math"
	"runtime/debug"
	"strconv"
)

// Limits are those of a relay that the store does not know. 0 is no limit.
type Limits struct {
	Streams, Connections, LongPolls int64   // open at once
	CPUs                            float64 // processors that the process may use
}

// limit is a limit of one list of /stats.series, in the list's unit.
type limit struct {
	name  string // of the list
	value int64  // 0: there is none
}

// limits returns those that hold now. Some may change while the relay serves.
func (s *Sources) limits() []limit {
	var own Limits
	if s.Limits != nil {
		own = s.Limits()
	}
	store := s.Store.Limits()
	memory := debug.SetMemoryLimit(-1) // only asks
	if memory == math.MaxInt64 {
		memory = 0
	}
	return []limit{
		{"slots", int64(store.Slots)},
		{"streams", own.Streams},
		{"connections", own.Connections},
		{"long_polls", own.LongPolls},
		{"cpu_cores", int64(math.Ceil(own.CPUs))},
		{"memory_bytes", memory},
		{"slot_memory_bytes", s.Store.Memory().Limit},
		{"disk_free_bytes", int64(store.Reserve)},
	}
}

// appendLimits appends the member limits of a reply.
func appendLimits(b []byte, list []limit) []byte {
	b = append(b, `"limits":{`...)
	first := true
	for _, l := range list {
		if l.value <= 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = append(b, l.name...)
		b = append(b, `":`...)
		b = strconv.AppendInt(b, l.value, 10)
	}
	return append(b, '}')
}
