package fleet

import (
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// A backup of one relay of a fleet is one of the fleet at that moment. A relay that is
// restored from it joins the fleet again and replays what came since, or goes on alone
// with what was there.
func TestFleet_BackupAndRestore(t *testing.T) {
	t.Parallel()
	f := newFleet(t).start(2)
	slots := f.fill(3, 20)
	parent := t.TempDir()
	command := func(code int, args ...string) string {
		t.Helper()
		out, errs, got := relaytest.Command(t, nil, args...)
		if got != code {
			t.Fatalf("%v: exit %d\n%s%s", args, got, out, errs)
		}
		return out + errs
	}
	// What the other relay took is in it, too: it has been answered.
	command(0, "backup", parent, "--admin="+f.relays[1].AdminURL)
	for n, s := range slots { // behind the backup
		f.relays[0].Post(s, relaytest.Event("w"+string(rune('0'+n)), 20, 300))
	}
	made, err := filepath.Glob(filepath.Join(parent, "2*"))
	if err != nil || len(made) != 1 {
		t.Fatal(made, err)
	}
	again, alone := filepath.Join(t.TempDir(), "again"), filepath.Join(t.TempDir(), "alone")
	for _, dir := range []string{again, alone} {
		if out := command(0, "restore", made[0], dir); !strings.Contains(out, "--leave-fleet") {
			t.Errorf("restore does not say what follows: %s", out)
		}
		sound(t, dir)
	}
	back := f.on(again, "r3").Start()
	holds(t, back, slots, 21)
	back.Stop()
	// One that has ended is copied from its folder, as it is.
	command(0, "backup", parent, "--offline", "--data-dir="+again)
	relaytest.Contains(t, ended(t, relaytest.New(t, alone).Launch(), 1), "belongs to a fleet")
	lone := relaytest.Start(t, alone, "--leave-fleet")
	holds(t, lone, slots, 20)
	lone.Post(slots[0], []byte(`{"event_id":"alone"}`))
	lone.Stop()
	sound(t, alone)
}
