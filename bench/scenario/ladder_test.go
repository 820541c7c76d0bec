package scenario

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cowrelay/bench/internal/short"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// BenchmarkHTTP runs scenarios on the real relay over sockets, at a small
// scale: ladders of connections, event sizes, slot lengths and streams. An
// iteration is a round of the relay and a round of the bound, which is the
// plain twin here. It reports not its own time but what the rounds came to:
// ns/op and req/s of the relay, and its ratios to the bound. Figures to quote
// come from relaybench, whose rounds are longer.
func BenchmarkHTTP(b *testing.B) {
	relay := filepath.Join(b.TempDir(), "cowrelay")
	build := exec.Command("go", "build", "-trimpath", "-o", relay, "../../cmd/cowrelay")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("cannot build the relay: %v\n%s", err, out)
	}
	step := func(load, name string, size int, set func(c *run.Config, size int)) {
		b.Run(fmt.Sprintf("load=%s/%s=%d", load, name, size), func(b *testing.B) {
			c := short.Config(b, "--drain-delay", "0s")
			c.Relay, c.Rounds = relay, min(b.N, 100)
			c.Duration, c.Warmup = 150*time.Millisecond, 30*time.Millisecond
			set(&c, size)
			reportRounds(b, c, load)
		})
	}
	conns := func(c *run.Config, n int) { c.Conns = []int{n} }
	for _, n := range []int{1, 16, 256} {
		step("poll", "conns", n, conns)
	}
	for _, n := range []int{1, 16, 256} {
		step("post", "conns", n, conns)
	}
	for _, n := range []int{wire.MinEventBytes, 4 << 10, 64 << 10} {
		step("post", "size", n, func(c *run.Config, n int) {
			c.Conns, c.EventBytes, c.Page = []int{16}, n, 1
			c.SlotBytes = []int64{1 << 20}
		})
	}
	for _, n := range []int{64 << 10, 1 << 20, 16 << 20} {
		step("window", "slot", n, func(c *run.Config, n int) { c.Conns, c.SlotBytes = []int{16}, []int64{int64(n)} })
	}
	for _, n := range []int{1, 16, 256} {
		step("fanout", "streams", n, func(c *run.Config, n int) { c.Streams = n })
	}
}

// reportRounds runs one load and reports what its rounds came to.
func reportRounds(b *testing.B, c run.Config, load string) {
	var rs []report.Result
	if err := Run(b.Context(), c, []string{load}, func(r report.Result) { rs = append(rs, r) }); err != nil {
		b.Fatal(err)
	}
	for _, r := range rs {
		if r.Errors() != 0 || r.Relay.PerSec == 0 {
			b.Fatal(r.Line())
		}
		b.ReportMetric(1e9/r.Relay.PerSec, "ns/op")
		b.ReportMetric(r.Relay.PerSec, "req/s")
		b.ReportMetric(float64(r.Relay.Latency.P99), "p99-µs")
		if r.Ratio != nil {
			b.ReportMetric(r.Ratio.Median, "ratio")
		}
		if r.CPURatio != nil {
			b.ReportMetric(r.CPURatio.Median, "cpu-ratio")
		}
	}
}
