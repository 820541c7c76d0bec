package stats

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
)

// What Go and the system say of the process has HELP and TYPE, as all else has.
func TestPrintProcess(t *testing.T) {
	var b strings.Builder
	printProcess(&b)
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range families {
		if len(f.GetHelp()) < 10 || f.Type == nil || f.GetType().String() == "UNTYPED" {
			t.Errorf("%s: help %q, type %v", name, f.GetHelp(), f.Type)
		}
	}
	for name, want := range map[string]string{
		"go_goroutines": "GAUGE", "go_gc_pauses_seconds": "HISTOGRAM", "go_gc_duration_seconds": "SUMMARY", "go_gc_cpu_seconds_total": "COUNTER",
		"go_gc_forced_count": "COUNTER",
	} {
		if got := families[name].GetType().String(); families[name] == nil || got != want {
			t.Errorf("%s is a %s, want %s", name, got, want)
		}
	}
	for line, n := range map[string]int{"# TYPE go_gc_pauses_seconds ": 1, "# TYPE go_gc_duration_seconds_sum ": 0} {
		if strings.Count(b.String(), line) != n {
			t.Errorf("%q does not stand %d times", line, n)
		}
	}
}

func TestProcess(t *testing.T) {
	p := new(Process)
	at := time.Unix(1000, 0)
	p.Started(1500*time.Millisecond, at)
	want := func(lines ...string) {
		t.Helper()
		var b strings.Builder
		for _, f := range p.Families() {
			f.Print(&b, f.Name)
		}
		for _, line := range lines {
			if !strings.Contains(b.String(), line+"\n") {
				t.Errorf("no %q in:\n%s", line, b.String())
			}
		}
	}
	want("cowrelay_start_duration_seconds 1.5", "cowrelay_config_last_reload_successful 1", "cowrelay_config_read_timestamp_seconds 1000.000", `cowrelay_config_reloads_total{outcome="failed"} 0`)
	p.Reloaded(false, at.Add(time.Minute))
	want("cowrelay_config_last_reload_successful 0", "cowrelay_config_read_timestamp_seconds 1000.000", `cowrelay_config_reloads_total{outcome="failed"} 1`)
	p.Reloaded(true, at.Add(time.Hour))
	want("cowrelay_config_last_reload_successful 1", "cowrelay_config_read_timestamp_seconds 4600.000", `cowrelay_config_reloads_total{outcome="done"} 1`)
}

// Of a crowd that is refused one gets a line at once, and then one in ten seconds.
func TestRefusals(t *testing.T) {
	r := NewRefusals([]string{"", "full", "rate"})
	for _, c := range []struct {
		at  time.Duration
		n   uint64
		due bool
	}{{0, 1, true}, {time.Second, 0, false}, {9 * time.Second, 0, false}, {11 * time.Second, 3, true}, {12 * time.Second, 0, false}, {time.Hour, 2, true}} {
		if n, due := r.Sample(1, int64(c.at)); n != c.n || due != c.due {
			t.Errorf("at %v: %d, %v; want %d, %v", c.at, n, due, c.n, c.due)
		}
	}
	if _, due := r.Sample(2, int64(time.Hour)); !due {
		t.Error("one reason silences another")
	}
	r.Count(1)
	var b strings.Builder
	r.Families()[0].Print(&b, "x")
	if b.String() != "x{reason=\"full\"} 1\nx{reason=\"rate\"} 0\n" {
		t.Error(b.String())
	}
}
