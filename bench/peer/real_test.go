//go:build real

package peer

import (
	"testing"

	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

// TestRealNchan runs nginx itself in all loads but that of silent streams,
// where a heartbeat comes every 12 s. The relay beside it is the tests' small
// one: what is tried is the adapter.
func TestRealNchan(t *testing.T) {
	paths, modules := nginxPaths, nchanPaths
	c := shortPeers(t)
	nginxPaths, nchanPaths = paths, modules
	p := peersOf(&c)[0]
	if p.missing != "" {
		t.Fatal(p.missing)
	}
	c.Self = nil
	var all []run.Variant
	for _, sc := range p.scenarios {
		if sc.Peer, sc.Promises = p.name, p.promises; sc.Scenario != "idle" {
			all = append(all, sc)
		}
	}
	n := 0
	err := run.All(t.Context(), &c.Config, all, func(r report.Result) {
		if n++; r.Errors() != 0 || r.Bound.Rounds[0].Ops == 0 {
			t.Errorf("result %s", r.Line())
		}
	})
	if err != nil || n != len(all) || n == 0 {
		t.Errorf("%d results of %d, %v", n, len(all), err)
	}
}
