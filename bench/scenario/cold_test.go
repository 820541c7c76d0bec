package scenario

import (
	"strings"
	"testing"
	"time"

	"cowrelay/bench/internal/short"
	"cowrelay/bench/run"
)

func coldConfig(t *testing.T, relayArgs ...string) run.Config {
	c := short.Config(t, relayArgs...)
	c.ColdSlotEvents, c.BatchEvents, c.ColdHotRate, c.ColdPostRate, c.Duration = 20, 7, 100, 100, time.Second
	return c
}

// Cold fills slots to five times the budget, and reads hot ones alone and beside
// cold ones, in a control group.
func TestRun_cold(t *testing.T) {
	c := coldConfig(t)
	if !withGroups(t, c, "cold") {
		return
	}
	r := runClean(t, c, "cold")
	x := r.Relay.Cold
	// The small relay's budget is 200,000 bytes, and a slot has 20 events of 512.
	if x == nil || x.Slots != 98 || x.Stored != 98*20*512 || x.Budget != 200_000 {
		t.Fatalf("stored %+v", x)
	}
	if x.Rate < 1 || x.Windows <= 0 || x.Refused != 0 {
		t.Errorf("cold reads %+v", x)
	}
	for _, name := range []string{"hot", "post"} {
		if n := r.Relay.Parts[name].Count; n < 99 || n > 101 || x.Quiet[name].Count < 99 || x.Quiet[name].Count > 101 || x.VsQuiet[name] <= 0 {
			t.Errorf("%s: %d beside cold reads, %d without, want about 100; to quiet %g", name, n, x.Quiet[name].Count, x.VsQuiet[name])
		}
	}
	if r.Relay.Parts["cold"].Count == 0 || len(x.Quiet) != 2 {
		t.Errorf("parts %+v, quiet %+v", r.Relay.Parts, x.Quiet)
	}
	if use := r.Relay.Group; use == nil || use.Peak < 1<<20 || use.Peak > c.EdgeMemory || use.CPU <= 0 || use.Killed != 0 {
		t.Errorf("the group used %+v", use)
	}
	for _, want := range []string{"): cold p50", "; quiet hot p50", "p99 to quiet", "5.0 times the budget", "; group at most ", "without a bound"} {
		if l := r.Line(); !strings.Contains(l, want) {
			t.Errorf("line %q lacks %q", l, want)
		}
	}
	noGroupsLeft(t)
}

// A wrong byte in any page is an error, and a lost post too.
func TestRun_coldNoticesFaults(t *testing.T) {
	for fault, want := range map[string]string{"late-bytes": "wrong from byte 20 on", "late-status": "status 503, want 201"} {
		c := coldConfig(t, "--fault", fault)
		c.ColdRate = 50
		if !withGroups(t, c, "cold") {
			return
		}
		// The fill's batches are posts too.
		if fault == "late-status" {
			c.BatchEvents = 20
		}
		rs := runShort(t, c, "cold")
		if len(rs) != 1 || rs[0].Relay.Errors == 0 || !strings.Contains(rs[0].Relay.FirstError, want) {
			t.Errorf("%s was not noticed: %s", fault, rs[0].Line())
		}
	}
}
