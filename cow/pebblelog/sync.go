package pebblelog

import (
	"context"
	"runtime/pprof"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// goLabelled starts a goroutine that Close waits for.
func (l *Log) goLabelled(name string, run func()) {
	l.wg.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("relay", "pebblelog-"+name), func(context.Context) { run() })
	})
}

// syncLoop is the goroutine of mode Interval.
func (l *Log) syncLoop() {
	t := time.NewTicker(l.opts.Interval)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			l.sync()
		}
	}
}

// sync makes durable what was written before the call. An entry of the log
// that changes nothing carries the sync.
func (l *Log) sync() {
	if !l.dirty.Swap(false) {
		return
	}
	b := l.db.NewBatch()
	must(b.LogData(nil, nil))
	l.write(b, pebble.Sync)
	b.Close()
}
