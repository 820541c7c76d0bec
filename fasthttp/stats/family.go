package stats

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Info describes one family of metrics.
type Info struct{ Name, Type, Help string }

// Family is one family of metrics: its description, and what prints its series.
// The values are asked for at each print, so a family may be made before what it
// shows is there.
type Family struct {
	Info
	Print func(w io.Writer, name string)
}

// Gauge is a family of one series that goes up and down.
func Gauge(name, help string, value func() int64) Family {
	return Family{Info{name, "gauge", help}, func(w io.Writer, name string) {
		fmt.Fprintf(w, "%s %d\n", name, value())
	}}
}

// Seconds is a family of one duration that goes up and down.
func Seconds(name, help string, value func() time.Duration) Family {
	return Family{Info{name, "gauge", help}, func(w io.Writer, name string) {
		fmt.Fprintf(w, "%s %g\n", name, value().Seconds())
	}}
}

// Counter is a family of one series that only goes up.
func Counter(name, help string, value func() uint64) Family {
	return Family{Info{name, "counter", help}, func(w io.Writer, name string) {
		fmt.Fprintf(w, "%s %d\n", name, value())
	}}
}

// SecondsTotal is a family of one duration that only goes up.
func SecondsTotal(name, help string, value func() time.Duration) Family {
	return Family{Info{name, "counter", help}, func(w io.Writer, name string) {
		fmt.Fprintf(w, "%s %g\n", name, value().Seconds())
	}}
}

// Show prints one series of a CounterBy.
type Show func(value string, n uint64)

// CounterBy is a family of counters that one label tells apart. each shows them,
// always in the same order.
func CounterBy(name, label, help string, each func(show Show)) Family {
	return Family{Info{name, "counter", help}, func(w io.Writer, name string) {
		each(func(value string, n uint64) { fmt.Fprintf(w, "%s{%s=%q} %d\n", name, label, value, n) })
	}}
}

// CountersOf is a CounterBy of counters that stand in a list, under the values of
// the same index.
func CountersOf(name, label, help string, values []string, counts func() []atomic.Uint64) Family {
	return CounterBy(name, label, help, func(show Show) {
		list := counts()
		for i, value := range values {
			show(value, list[i].Load())
		}
	})
}

// Durations is a family of one histogram.
func Durations(name, help string, h func() *Histogram) Family {
	return Family{Info{name, "histogram", help}, func(w io.Writer, name string) { h().Print(w, name, "") }}
}

// PrintAll prints families in the Prometheus text format, each with its HELP and
// TYPE lines, and behind them what Go and the system say of the process.
//
// The HELP texts are ours: those of the metrics library are empty, which
// promtool calls missing.
func PrintAll(w io.Writer, families []Family) {
	for _, f := range families {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", f.Name, f.Help, f.Name, f.Type)
		f.Print(w, f.Name)
	}
	printProcess(w)
}
