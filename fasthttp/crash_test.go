package fasthttp

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// crashPoint is the disk as a crash would leave it, all unsynced bytes dropped,
// and what had been acknowledged over HTTP until then.
type crashPoint struct {
	k     int
	disk  *vfs.MemFS
	slots []ackedSlot
	done  chan struct{}
}

// crashMany is how many events a post of many has.
const crashMany = 5

type ackedSlot struct {
	id, token, owner string
	events           []string // in the order of their 201
	health           string
	deleted          bool // 204 was given
	deleting         bool // it was asked for
	many, asked      int  // posts of crashMany events that got their 201, and that were asked for
}

// I3: crash at every k-th write. Whatever got its 201, 200 or 204 over HTTP
// before is so after the reopen, in its order.
func TestCrash_AtEveryWrite(t *testing.T) {
	t.Parallel()
	stride := 1
	if testing.Short() {
		stride = 17 // the plain run crashes at each write
	}
	var (
		mu     sync.Mutex
		acked  []ackedSlot
		writes int
	)
	disk := vfs.NewCrashableMem()
	points := make(chan crashPoint)
	armed := false
	var one sync.Mutex // one crash at a time
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		one.Lock()
		defer one.Unlock()
		mu.Lock()
		writes++
		p := crashPoint{k: writes, done: make(chan struct{})}
		ok := armed && writes%stride == 0
		for _, s := range acked { // before the clone: what is acknowledged now must be in it
			s.events = slices.Clone(s.events)
			p.slots = append(p.slots, s)
		}
		mu.Unlock()
		if !ok {
			return nil
		}
		p.disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
		points <- p
		<-p.done
		return nil
	})
	g := newRig(t, func(o *rigOptions) {
		o.log.FS = errorfs.Wrap(disk, inject)
		o.log.MemTableBytes = 1 << 20
		o.store.StallAfter, o.store.QueueTimeout = time.Minute, time.Minute
	})
	mu.Lock()
	armed = true
	mu.Unlock()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		crashScript(t, g, &mu, &acked)
	}()
	n := 0
	for run := true; run; {
		select {
		case p := <-points:
			checkCrash(t, p)
			n++
			close(p.done)
		case <-finished:
			run = false
		}
	}
	mu.Lock()
	armed = false
	mu.Unlock()
	go func() { // who passed the check before
		for p := range points {
			close(p.done)
		}
	}()
	if n < 10 {
		t.Errorf("only %d crashes", n)
	}
	t.Logf("%d crashes", n)
}

// crashScript posts, by two at once, and writes down what is acknowledged.
func crashScript(t *testing.T, g *rig, mu *sync.Mutex, acked *[]ackedSlot) {
	call := func(method, path, token string, body any, status int) (reply, bool) {
		r, err := g.tryCall(method, path, token, body)
		if err != nil || r.status != status {
			t.Errorf("%s %s: %d, %v", method, path, r.status, err)
			return r, false
		}
		return r, true
	}
	var wg sync.WaitGroup
	pad := strings.Repeat("x", 60_000)
	for actor := range 2 {
		wg.Go(func() {
			for round := range 2 {
				r, ok := call("POST", "/v1/slot/allocate", "", "{}", 201)
				if !ok {
					return
				}
				mu.Lock()
				at := len(*acked)
				id, token, owner := r.field(t, "slot_id").(string), r.field(t, "slot_token").(string), r.field(t, "owner_token").(string)
				*acked = append(*acked, ackedSlot{id: id, token: token, owner: owner})
				mu.Unlock()
				update := func(f func(*ackedSlot)) {
					mu.Lock()
					defer mu.Unlock()
					f(&(*acked)[at])
				}
				for i := range 6 {
					e := fmt.Sprintf(`{"event_id":"a%d-%d-%d","pad":"%s"}`, actor, round, i, pad)
					if _, ok := call("POST", "/v1/events/"+id, token, `{"event":`+e+`}`, 201); !ok {
						return
					}
					update(func(s *ackedSlot) { s.events = append(s.events, e) })
				}
				for i := range 3 {
					var lines []string
					for k := range crashMany {
						lines = append(lines, fmt.Sprintf(`{"event_id":"m%d-%d-%d-%d","pad":"%s"}`, actor, round, i, k, pad[:20_000]))
					}
					update(func(s *ackedSlot) { s.asked++ })
					if r, err := g.tryCall("POST", "/v1/events/"+id, token, strings.Join(lines, "\n"), "Content-Type", ndjson); err != nil || r.status != 201 {
						t.Errorf("a post of many events: %d, %v", r.status, err)
						return
					}
					update(func(s *ackedSlot) { s.events, s.many = append(s.events, lines...), s.many+1 })
				}
				h := fmt.Sprintf(`{"status":"s%d","set_at":"t"}`, round)
				if _, ok := call("POST", "/v1/slot/"+id+"/responder-health", token, h, 200); !ok {
					return
				}
				update(func(s *ackedSlot) { s.health = h })
				if round == 0 && actor == 0 {
					update(func(s *ackedSlot) { s.deleting = true })
					if _, ok := call("DELETE", "/v1/slot/"+id, owner, nil, 204); !ok {
						return
					}
					update(func(s *ackedSlot) { s.deleted = true })
				}
			}
		})
	}
	wg.Wait()
}

func checkCrash(t *testing.T, p crashPoint) {
	t.Helper()
	g := newRig(t, func(o *rigOptions) { o.log.FS = p.disk })
	defer g.stop()
	for _, s := range p.slots {
		r := g.call("GET", "/v1/events/"+s.id, s.token, nil)
		if s.deleted || s.deleting && r.status == 404 {
			if r.status != 404 {
				t.Errorf("crash %d: a deleted slot is back: %d", p.k, r.status)
			}
			continue
		}
		if r.status != 200 {
			t.Errorf("crash %d: an acknowledged slot: %d %s", p.k, r.status, r.body)
			continue
		}
		m := mailbox{g, s.id, s.token, s.owner}
		got := m.split(r.body)
		if len(got) < len(s.events) || !slices.Equal(got[:len(s.events)], s.events) {
			t.Errorf("crash %d: %d events, or others, where %d were acknowledged", p.k, len(got), len(s.events))
		}
		many := 0
		for _, e := range got {
			if strings.HasPrefix(e, `{"event_id":"m`) {
				many++
			}
		}
		if many%crashMany != 0 || many < crashMany*s.many || many > crashMany*s.asked {
			t.Errorf("crash %d: %d events of posts of %d, %d were acknowledged and %d asked for", p.k, many, crashMany, s.many, s.asked)
		}
		if singles := len(got) - many; singles > len(s.events)-crashMany*s.many+1 {
			t.Errorf("crash %d: %d events where %d were acknowledged and one may be under way", p.k, len(got), len(s.events))
		}
		if s.health != "" && !strings.Contains(m.state().body, s.health) {
			t.Errorf("crash %d: the health record is gone: %s", p.k, m.state().body)
		}
		for i, e := range s.events { // still known as duplicates
			if i%3 == 0 {
				m.post(e).want(t, 200)
			}
		}
	}
}
