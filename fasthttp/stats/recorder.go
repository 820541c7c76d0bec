package stats

import (
	"context"
	"log/slog"
	"time"
)

// Recorder keeps the history of a relay: rows of the last seven days, one each
// Every. Start makes it, and Stop ends it. Any goroutine may ask it.
type Recorder struct {
	sampler *sampler
	series  seriesCache
	limits  func() []limit
}

// Start reads the rows that the store has and begins to add more, one at each
// multiple of every, in whole seconds. A negative interval adds none.
func Start(from Sources, every time.Duration, log *slog.Logger) *Recorder {
	h := openHistory(from.Store.Records(), HistoryPrefix(from.Relay), from.Store.Room, log)
	return &Recorder{sampler: startSampler(h, every, newMeter(from).row), limits: from.limits}
}

// Stop ends it, and waits for a write under way until ctx ends.
func (r *Recorder) Stop(ctx context.Context) { r.sampler.stop(ctx) }

// Sample adds the row of a moment by hand. Only a recorder without an interval may
// be asked, by one goroutine at a time.
func (r *Recorder) Sample(now time.Time) { r.sampler.sample(now) }

// Rows returns the rows of the last hours, as /stats.history shows them.
func (r *Recorder) Rows(hours int, now time.Time) *Rows {
	return newRows(*r.sampler.history.timeline.Load(), hours, now.Unix())
}

// Series returns the last hours as /stats.series shows them. Nobody may write to
// the bytes.
func (r *Recorder) Series(hours int, now time.Time) []byte {
	return r.series.body(r.sampler.history.timeline.Load(), hours, now, int64(r.sampler.every/time.Second), r.limits)
}

// Families are the families of the history itself.
func (r *Recorder) Families() []Family {
	return []Family{
		Gauge("cowrelay_stats_rows", "Rows that the statistics' history has.", func() int64 { return int64(r.sampler.history.timeline.Load().len()) }),
		Counter("cowrelay_stats_write_errors_total", "Writes of the statistics' history that failed. What they held is written with the next.", func() uint64 { return r.sampler.history.failed.Load() }),
		Counter("cowrelay_stats_records_skipped_total", "Records of the statistics' history that could not be read at the start.", func() uint64 { return r.sampler.history.skipped.Load() }),
	}
}
