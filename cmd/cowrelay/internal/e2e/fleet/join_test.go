package fleet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

const adminToken = "0123456789abcdef0123456789abcdef"

// fill posts events to some new slots, each by another relay than the one before.
func (f *fleet) fill(slots, events int) (list []relaytest.Slot) {
	f.t.Helper()
	for n := range slots {
		s := f.relays[n%len(f.relays)].Allocate()
		for i := range events {
			f.relays[(n+i)%len(f.relays)].Post(s, relaytest.Event(fmt.Sprint("w", n), i, 300))
		}
		list = append(list, s)
	}
	return list
}

// holds fails unless the relay has all events of the slots.
func holds(t *testing.T, r *relaytest.Relay, slots []relaytest.Slot, events int) {
	t.Helper()
	for n, s := range slots {
		got := r.Pull(s, "")
		if len(got) != events {
			t.Fatalf("slot %d: %d events of %d", n, len(got), events)
		}
		for i, e := range got {
			if string(e) != string(relaytest.Event(fmt.Sprint("w", n), i, 300)) {
				t.Fatalf("slot %d has at position %d: %s", n, i, e)
			}
		}
	}
}

func sound(t *testing.T, dir string) {
	t.Helper()
	if out, errs, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir); code != 0 {
		t.Errorf("verify: exit %d, %s%s", code, out, errs)
	}
}

// A relay that was killed goes on where it was. A relay with an empty folder replays
// the log from its beginning. When the log does not reach back that far any more, it
// copies another relay's store.
func TestFleet_RestartReplayAndJoin(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	tokenFile := relaytest.WriteTemp(t, adminToken)
	keep := []string{"--nats-keep=1s", "--admin-token-file=" + tokenFile}
	f.start(2, keep...)
	a, b := f.relays[0], f.relays[1]
	slots := f.fill(6, 10)
	kill(b)
	more := a.Allocate()
	a.Post(more, relaytest.Event("m", 0, 300))
	b = f.again(1, keep...)
	holds(t, b, slots, 10)
	if n := len(b.Pull(more, "")); n != 1 { // a start ends behind all of it
		t.Errorf("%d events of what came meanwhile", n)
	}

	f.start(1, keep...) // an empty folder
	holds(t, f.relays[2], slots, 10)
	f.relays[2].Stop()
	sound(t, f.dirs[2])

	// Two relays that live, with durable stores, purge the log.
	eventually(t, "a purge of the log", 90*time.Second, func() bool {
		a.Post(more, relaytest.Event("p", int(time.Now().UnixNano()%1e9), 100))
		time.Sleep(200 * time.Millisecond)
		return a.Metric("cowrelay_fleet_purged") > 0
	})
	fresh := t.TempDir()
	text := ended(t, f.on(fresh, "r4").Launch(), 1)
	relaytest.Contains(t, text, "start with --join")
	if left, _ := os.ReadDir(fresh); len(left) > 0 {
		t.Errorf("the folder is not empty: %v", left)
	}
	text = ended(t, f.on(fresh, "r4", "--join="+a.AdminURL).Launch(), 1)
	relaytest.Contains(t, text, "give it with --join-token-file")
	d := f.on(fresh, "r4", "--join="+a.AdminURL, "--join-token-file="+tokenFile).Start()
	if d.Logged("the store of another relay was copied and verified") == nil {
		t.Errorf("nothing was copied:\n%s", d.Log.String())
	}
	holds(t, d, slots, 10)
	s := d.Allocate()
	a.Post(s, relaytest.Event("n", 0, 100))
	eventually(t, "the event behind the join", 5*time.Second, func() bool { return len(d.Pull(s, "")) == 1 })
	d.Stop()
	sound(t, fresh)
	// The same flags again: the folder has data, so nothing is copied.
	d = f.on(fresh, "r4", "--join="+a.AdminURL, "--join-token-file="+tokenFile).Start()
	holds(t, d, slots, 10)
	if d.Logged("the data folder is not empty: nothing is copied from another relay") == nil {
		t.Errorf("it does not say that nothing was copied:\n%s", d.Log.String())
	}
	if strings.Contains(d.Log.String()+a.Log.String(), adminToken) {
		t.Error("a log holds the admin token")
	}
}

// A join that is cut off leaves an empty folder, and the next one works.
func TestFleet_JoinIsCutOff(t *testing.T) {
	t.Parallel()
	f := newFleet(t).start(1)
	slots := f.fill(3, 20)
	dir := filepath.Join(t.TempDir(), "data")
	for range 3 {
		r := f.on(dir, "late", "--join="+f.relays[0].AdminURL).Launch()
		time.Sleep(150 * time.Millisecond)
		r.Signal(syscall.SIGKILL)
		<-r.Exited
	}
	r := f.on(dir, "late", "--join="+f.relays[0].AdminURL).Start()
	holds(t, r, slots, 20)
	r.Stop()
	sound(t, dir)
	// A relay that is none, and one that is not there.
	relaytest.Contains(t, ended(t, f.on(t.TempDir(), "x", "--join="+f.relays[0].URL).Launch(), 1), "not the operators' listener")
	alone := relaytest.Start(t, t.TempDir())
	alone.Post(alone.Allocate(), relaytest.Event("a", 0, 100))
	relaytest.Contains(t, ended(t, f.on(t.TempDir(), "x", "--join="+alone.AdminURL).Launch(), 1), "of another fleet, or of none")
}

// The folder of a relay with a log of its own begins a fleet, also after a crash. The
// others join by copying it. Any member's folder starts alone again.
func TestFleet_BeginsWithAFolderAndEnds(t *testing.T) {
	t.Parallel()
	first := t.TempDir()
	own := relaytest.Start(t, first)
	s := own.Allocate()
	for i := range 50 {
		own.Post(s, relaytest.Event("w0", i, 300))
	}
	kill(own)
	slots := []relaytest.Slot{s}

	f := newFleet(t)
	a := f.on(first, "first").Start()
	holds(t, a, slots, 50)
	a.Post(s, relaytest.Event("w0", 50, 300))
	// A folder with data of its own can't join, nor can an empty one by replay alone.
	foreign := t.TempDir()
	r := relaytest.Start(t, foreign)
	r.Post(r.Allocate(), relaytest.Event("f", 0, 100))
	r.Stop()
	relaytest.Contains(t, ended(t, f.on(foreign, "foreign").Launch(), 1), "can't be joined to the shared log")
	r = relaytest.Start(t, foreign) // and is as it was
	r.Stop()
	empty := t.TempDir()
	relaytest.Contains(t, ended(t, f.on(empty, "second").Launch(), 1), "start with --join")
	b := f.on(empty, "second", "--join="+a.AdminURL).Start()
	holds(t, b, slots, 51)
	b.Post(s, relaytest.Event("w0", 51, 300))
	eventually(t, "the event at the first", 5*time.Second, func() bool { return len(a.Pull(s, "")) == 52 })
	a.Stop()
	b.Stop()

	// The folder of a fleet is not taken for that of one relay by mistake.
	relaytest.Contains(t, ended(t, relaytest.New(t, empty).Launch(), 1), "--leave-fleet")
	b = relaytest.Start(t, empty, "--leave-fleet")
	holds(t, b, slots, 52)
	b.Post(s, relaytest.Event("w0", 52, 300))
	kill(b)
	b = relaytest.Start(t, empty)
	holds(t, b, slots, 53)
	b.Stop()
	sound(t, empty)
	relaytest.Contains(t, ended(t, f.on(empty, "second").Launch(), 1), "can't be joined to the shared log")
	// A member's folder begins no other fleet, where the servers know nothing of its own.
	relaytest.Contains(t, ended(t, f.on(first, "first", "--nats-stream=OTHER").Launch(), 1), "is not there")
	// The fleet goes on without it, and forgets it.
	a = f.on(first, "first").Start()
	holds(t, a, slots, 52)
	eventually(t, "the silence of the second", time.Minute, func() bool { return strings.Contains(a.Admin(t, "fleet"), `"name":"second","self":false,"live":false`) })
	relaytest.Contains(t, a.Admin(t, "fleet", "forget", "second"), `{"forgotten":"second"}`)
	if out := a.Admin(t, "fleet"); strings.Contains(out, `"name":"second"`) || !strings.Contains(out, `"name":"first","self":true,"live":true`) {
		t.Errorf("the fleet: %s", out)
	}
	if _, errs, code := relaytest.Command(t, []string{"COWRELAY_ADMIN_URL=" + a.AdminURL}, "admin", "fleet", "forget", "first"); code != 1 || !strings.Contains(errs, "this relay lives") {
		t.Errorf("forget itself: exit %d, %s", code, errs)
	}
}

// Operators see all relays at each of them, and that two have one name.
func TestFleet_Operators(t *testing.T) {
	t.Parallel()
	f := newFleet(t).start(2)
	a, b := f.relays[0], f.relays[1]
	s := a.Allocate()
	b.Post(s, relaytest.Event("a", 0, 100))
	eventually(t, "both relays in the list", 30*time.Second, func() bool {
		return strings.Count(a.Admin(t, "fleet"), `"live":true`) == 2 && strings.Count(b.Admin(t, "fleet"), `"live":true`) == 2
	})
	var m struct {
		Name             string
		Applied, Durable uint64
		Purges           bool
	}
	if err := json.Unmarshal([]byte(strings.SplitN(b.Admin(t, "fleet"), "\n", 2)[0]), &m); err != nil || m.Name != "r1" || m.Applied == 0 || !m.Purges {
		t.Errorf("the first relay: %+v, %v", m, err)
	}
	out, errs, code := relaytest.Command(t, nil, "top", "--once", "--every=200ms", "--admin="+a.AdminURL)
	if code != 0 {
		t.Fatalf("top: exit %d, %s", code, errs)
	}
	relaytest.Contains(t, out, "RELAY", "r1*", "r2", "live")
	for _, r := range f.relays {
		if r.Metric("cowrelay_fleet_members_live") != 2 || r.Metric("cowrelay_fleet_applied") < 3 || r.Metric(`cowrelay_fleet_entries_total{by="others"}`) < 1 {
			t.Errorf("metrics: %v", r.Admin(t, "fleet"))
		}
	}
	// All can read what the newest writes, so it can be allowed, again and again.
	for range 2 {
		if out, errs, code := relaytest.Command(t, nil, "admin", "fleet", "upgrade", "--admin="+b.AdminURL); code != 0 || !strings.Contains(out, `"format":`) {
			t.Errorf("upgrade: exit %d, %s%s", code, out, errs)
		}
	}
	eventually(t, "the format at the other relay", 30*time.Second, func() bool {
		return a.Metric("cowrelay_fleet_format") == a.Metric("cowrelay_fleet_format_readable") && a.Metric("cowrelay_fleet_format") >= 1
	})
	if out := a.Admin(t, "fleet"); strings.Count(out, `"reads":`) != 2 {
		t.Errorf("the list: %s", out)
	}
	twin := f.on(t.TempDir(), "r2").Start()
	eventually(t, "the name that two have", 40*time.Second, func() bool {
		return b.Metric("cowrelay_fleet_name_conflicts_total")+twin.Metric("cowrelay_fleet_name_conflicts_total") > 0
	})
}
