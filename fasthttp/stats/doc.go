// Package stats measures a relay: the text of /metrics, and the history behind
// /stats.history and /stats.series.
//
// There are two ways in. Counters that stand on a request's path are types of
// this package ([Requests], [Commits], [Histogram]): the relay holds them and
// counts with one atomic add, without a lock. Everything else is asked for when
// somebody looks: the relay hands over functions, as a [Family] of /metrics or
// in [Sources].
//
// From the sampler to a reply:
//
//	sampler.go   wakes at each multiple of 30 s of the wall clock
//	meter.go     makes a row of what happened since the last one
//	row.go       the columns of a row
//	history.go   keeps the rows of seven days, in memory and in records
//	timeline.go  the rows in memory, immutable, read with one load
//	codec.go     a block of rows as the bytes of a record
//	rows.go      the body of /stats.history
//	series.go    the body of /stats.series: rows folded into columns
//	recorder.go  what the relay sees of all this
//
// The package knows no HTTP, no relay and no disk: it reads and writes
// [cow.Records], and gives text to an [io.Writer].
package stats
