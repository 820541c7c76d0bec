package stats

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Process is what the process tells of its start and of its configuration. Its zero
// value has told nothing. Any goroutine may ask it; one tells it.
type Process struct {
	start          atomic.Int64 // nanoseconds
	reloads, wrong atomic.Uint64
	lastWrong      atomic.Bool
	overs, refused atomic.Uint64 // hand-overs, and those that were refused
	gap            atomic.Int64  // nanoseconds, of the last hand-over
	failed         atomic.Pointer[string]
	readMs         atomic.Int64 // when the configuration in use was read, in milliseconds since 1970
}

// Started says how long the start took, and that the configuration was read then.
func (p *Process) Started(took time.Duration, now time.Time) {
	p.start.Store(int64(took))
	p.readMs.Store(now.UnixMilli())
}

// Reloaded says that the configuration was read again, and whether it is in use.
func (p *Process) Reloaded(ok bool, now time.Time) {
	if p.lastWrong.Store(!ok); !ok {
		p.wrong.Add(1)
		return
	}
	p.reloads.Add(1)
	p.readMs.Store(now.UnixMilli())
}

// HandedOver says that the process was handed over for the count-th time, why the
// program that should serve did not, "" if it does, and for how long no connection was
// accepted.
func (p *Process) HandedOver(count int, failed string, gap time.Duration) {
	p.overs.Store(uint64(count))
	p.failed.Store(&failed)
	p.gap.Store(int64(gap))
}

// HandoverRefused says that a hand-over was refused before the relay let go of anything.
func (p *Process) HandoverRefused() { p.refused.Add(1) }

// Handovers returns how often the process was handed over, and why the program that
// should have taken over last did not, "" if it did.
func (p *Process) Handovers() (count int, failed string) {
	if f := p.failed.Load(); f != nil {
		failed = *f
	}
	return int(p.overs.Load()), failed
}

// Families are its families of metrics, in their order.
func (p *Process) Families() []Family {
	return []Family{
		Seconds("cowrelay_start_duration_seconds", "How long the start took, until requests were served.", func() time.Duration { return time.Duration(p.start.Load()) }),
		CounterBy("cowrelay_config_reloads_total", "outcome", "Times that the configuration was read again, by outcome: done, failed (it stays as it was).", func(show Show) {
			show("done", p.reloads.Load())
			show("failed", p.wrong.Load())
		}),
		Gauge("cowrelay_config_last_reload_successful", "0 if the configuration could not be read when it was read last, 1 otherwise.", func() int64 {
			if p.lastWrong.Load() {
				return 0
			}
			return 1
		}),
		Counter("cowrelay_handovers_total", "Times that another program took the process over, or took it back, since the process was started.", func() uint64 { return p.overs.Load() }),
		Counter("cowrelay_handovers_refused_total", "Hand-overs that were refused with the relay serving on: the new program could not start.", func() uint64 { return p.refused.Load() }),
		Gauge("cowrelay_handover_last_successful", "0 if the program that should have taken over last could not serve, so that the one before serves again, 1 otherwise.", func() int64 {
			if _, failed := p.Handovers(); failed != "" {
				return 0
			}
			return 1
		}),
		Seconds("cowrelay_handover_gap_seconds", "For how long no connection was accepted at the last hand-over, 0 if there was none.", func() time.Duration { return time.Duration(p.gap.Load()) }),
		{Info{"cowrelay_config_read_timestamp_seconds", "gauge", "When the configuration in use was read, in seconds since 1970."}, func(w io.Writer, name string) {
			fmt.Fprintf(w, "%s %.3f\n", name, float64(p.readMs.Load())/1000)
		}},
	}
}

// processHelp describes the families of Go and of the process that need more words
// than their names have. Those of the library's own say nothing.
var processHelp = map[string]string{
	"go_cgo_calls_count":                        "Calls of C code.",
	"go_cpu_count":                              "CPUs of the machine.",
	"go_gc_cpu_seconds_total":                   "CPU time of the garbage collector.",
	"go_gc_duration_seconds":                    "Pauses of the garbage collector, the last 256 of them.",
	"go_gc_forced_count":                        "Collections that the program asked for.",
	"go_gc_mark_assist_cpu_seconds_total":       "CPU time that goroutines spent collecting because they allocated.",
	"go_gc_pauses_seconds":                      "Pauses of all goroutines for the garbage collector.",
	"go_gomaxprocs":                             "CPUs that Go code runs on at once.",
	"go_goroutines":                             "Goroutines that exist.",
	"go_info":                                   "The version of Go, as a label; the value is 1.",
	"go_info_ext":                               "The compiler and the platform, as labels; the value is 1.",
	"go_memlimit_bytes":                         "Memory beyond which the garbage collector works without rest.",
	"go_mutex_wait_seconds_total":               "Time that goroutines waited for mutexes.",
	"go_sched_latencies_seconds":                "Time that goroutines waited for a CPU.",
	"go_scavenge_cpu_seconds_total":             "CPU time spent giving memory back to the system.",
	"go_threads":                                "Threads that Go has made.",
	"process_cpu_seconds_total":                 "CPU time of the process.",
	"process_io_storage_read_bytes_total":       "Bytes that the process had read from disks.",
	"process_io_storage_written_bytes_total":    "Bytes that the process had written to disks.",
	"process_max_fds":                           "Files that the process may have open.",
	"process_open_fds":                          "Files that the process has open.",
	"process_resident_memory_bytes":             "Memory of the process that is in RAM.",
	"process_start_time_seconds":                "When the process was started, in seconds since 1970.",
	"process_virtual_memory_bytes":              "Address space of the process.",
	"process_pressure_io_stalled_seconds_total": "Time that all tasks of the control group waited for disks.",
}

// processTypes are the types that a name does not show.
var processTypes = map[string]string{
	"go_gc_duration_seconds": "summary", "go_gc_pauses_seconds": "histogram", "go_sched_latencies_seconds": "histogram",
	"go_cgo_calls_count": "counter", "go_gc_forced_count": "counter",
}

// printProcess prints what Go and the system say of the process, as the metrics
// library does, with the HELP and TYPE of each family, which the library leaves out
// or leaves empty.
func printProcess(w io.Writer) {
	var text bytes.Buffer
	metrics.WriteProcessMetrics(&text)
	metrics.WriteFDMetrics(&text)
	describe(w, text.Bytes())
}

// describe prints series with HELP and TYPE before each family.
func describe(w io.Writer, text []byte) {
	last := ""
	for line := range bytes.Lines(text) {
		if line[0] == '#' {
			continue
		}
		name := familyOf(string(line[:max(0, bytes.IndexAny(line, "{ "))]))
		if name != last {
			last = name
			info := processInfo(name)
			fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, info.Help, name, info.Type)
		}
		w.Write(line)
	}
}

// familyOf is the family of a series.
func familyOf(series string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(series, suffix); ok && processTypes[base] != "" {
			return base
		}
	}
	return series
}

func processInfo(name string) Info {
	info := Info{Name: name, Type: processTypes[name], Help: processHelp[name]}
	if info.Type == "" {
		info.Type = "gauge"
		if strings.HasSuffix(name, "_total") {
			info.Type = "counter"
		}
	}
	if info.Help != "" {
		return info
	}
	words, from := name, "the system"
	if field, ok := strings.CutPrefix(name, "go_memstats_"); ok {
		words, from = field, "runtime.MemStats"
	} else if field, ok := strings.CutPrefix(name, "go_"); ok {
		words, from = field, "the Go runtime"
	} else if field, ok := strings.CutPrefix(name, "process_"); ok {
		words = field
	}
	info.Help = strings.ReplaceAll(strings.TrimSuffix(words, "_total"), "_", " ") + ", as " + from + " has it."
	return info
}
