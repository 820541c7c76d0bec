package stats

import "strconv"

// The columns of a row. The first ones are what /stats.history shows, under these
// names and in this order. Records name their columns, so that a new one may
// stand anywhere; a row from before it was there has noValue.
const (
	colTS = iota // Unix seconds; the row is about the time that ends here
	colHandles
	colSlots
	colPairs
	colStreams
	colHandleClaims
	colHandleFirstClaims
	colSlotAllocations
	colPairOpens
	colEventsPosted
	shownColumns

	// What happened within the row's span. It begins at the row before, or at the
	// start of the process: counts begin at 0 there.
	colSpan = iota - 1 // milliseconds
	colStored
	colDuplicates
	colRefused
	colPulls
	colRequests
	colFailures // replies with a status of 500 and more
	colLimited  // replies with 429
	colCPU      // milliseconds of the process, on all cores
	colCommits
	colCommitP50 // nanoseconds; noValue without commits
	colCommitP99
	colLagP99

	// What was at the row's end.
	colResident   // bytes of the process in RAM
	colSlotMemory // bytes
	colConnections
	colLongPolls
	colEvents
	colEventBytes
	colDiskFree // bytes; noValue where nobody knows
	columns
)

var columnNames = [columns]string{
	colTS: "ts", colHandles: "handles_active", colSlots: "slots_active", colPairs: "pair_slots_open", colStreams: "streams_active",
	colHandleClaims: "handle_claims_total", colHandleFirstClaims: "handle_first_claims_total",
	colSlotAllocations: "slot_allocations_total", colPairOpens: "pair_opens_total", colEventsPosted: "events_posted_total",
	colSpan: "span_ms", colStored: "posts_stored", colDuplicates: "posts_duplicate", colRefused: "posts_refused",
	colPulls: "pulls", colRequests: "requests", colFailures: "failures", colLimited: "limited", colCPU: "cpu_ms",
	colCommits: "commits", colCommitP50: "commit_p50_ns", colCommitP99: "commit_p99_ns", colLagP99: "lag_p99_ns",
	colResident: "resident_bytes", colSlotMemory: "slot_memory_bytes", colConnections: "connections",
	colLongPolls: "long_polls", colEvents: "events", colEventBytes: "event_bytes", colDiskFree: "disk_free_bytes",
}

// noValue stands where nothing was measured.
const noValue = -1

// row is the figures of one moment.
type row [columns]int64

// appendShown appends the row as /stats.history shows it.
func (r *row) appendShown(b []byte) []byte {
	for i, name := range columnNames[:shownColumns] {
		if i == 0 {
			b = append(b, `{"`...)
		} else {
			b = append(b, `,"`...)
		}
		b = append(b, name...)
		b = append(b, `":`...)
		b = strconv.AppendInt(b, r[i], 10)
	}
	return append(b, '}')
}
