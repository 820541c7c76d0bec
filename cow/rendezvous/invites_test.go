package rendezvous

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

const someInvite = "wire://pair?v=1&inv=x"

// inviteFixture is Invites on records in memory, with a clock that stands still.
type inviteFixture struct {
	*Invites
	t       *testing.T
	records cow.Records
	now     atomic.Int64 // Unix seconds
	gate    atomic.Pointer[error]
}

func openInvites(t *testing.T, most int) *inviteFixture {
	f := &inviteFixture{t: t, records: journaltest.NewMemory()}
	f.now.Store(1_000_000)
	f.open(most)
	t.Cleanup(func() { f.Close() })
	return f
}

func (f *inviteFixture) open(most int) {
	f.t.Helper()
	v, err := OpenInvites(f.records, InviteOptions{
		Most: most, Now: func() time.Time { return time.Unix(f.now.Load(), 0) }, Logger: slog.New(slog.DiscardHandler),
		Gate: func() (func(), error) {
			if err := f.gate.Load(); err != nil {
				return nil, *err
			}
			return func() {}, nil
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.Invites = v
}

func (f *inviteFixture) restart(most int) {
	f.Close()
	f.open(most)
}

func (f *inviteFixture) must(source Source, life time.Duration, uses *int64) Invite {
	f.t.Helper()
	invite, err := f.Register(source, someInvite, life, uses)
	if err != nil {
		f.t.Fatal(err)
	}
	return invite
}

// want fetches the script and expects an error or none.
func (f *inviteFixture) want(token string, want error) {
	f.t.Helper()
	script, err := f.Script(token, false)
	if !errors.Is(err, want) || (err == nil) != strings.Contains(string(script), someInvite) {
		f.t.Errorf("%s: %q, %v; want %v", token, script, err, want)
	}
}

func (f *inviteFixture) recorded() (n int) {
	f.records.List("invite/", func(string, []byte, uint64) error { n++; return nil })
	return n
}

func times(n int64) *int64 { return &n }

func TestInvites_UsesAreCounted(t *testing.T) {
	f := openInvites(t, 10)
	three := f.must(1, time.Hour, times(3)).Token
	open := f.must(1, time.Hour, nil).Token
	for range 2 {
		f.want(three, nil)
		f.want(open, nil)
	}
	if url, err := f.URL(three); url != someInvite || err != nil {
		t.Errorf("the URL: %q, %v", url, err)
	}
	if _, err := f.Script(three, true); err != nil {
		t.Errorf("a peek: %v", err)
	}
	f.restart(10)
	f.want(three, nil)
	f.want(three, ErrInviteGone)
	f.want(open, nil)
	if _, err := f.URL(three); !errors.Is(err, ErrInviteGone) {
		t.Errorf("the URL of one that is used up: %v", err)
	}
	if value, _, err := f.records.Value(InviteKey(three)); err != nil || strings.Contains(string(value), "wire://") {
		t.Errorf("the URL is kept: %s, %v", value, err)
	}
	f.restart(10)
	f.want(three, ErrInviteGone)
	if n := f.Len(); n != 1 {
		t.Errorf("%d are live", n)
	}
}

func TestInvites_OneUse_ManyClients(t *testing.T) {
	f := openInvites(t, 10)
	for _, uses := range []int64{1, 7} {
		token := f.must(1, time.Hour, times(uses)).Token
		var got, gone atomic.Int64
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				switch _, err := f.Script(token, false); {
				case err == nil:
					got.Add(1)
				case errors.Is(err, ErrInviteGone):
					gone.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got.Load() != uses || gone.Load() != 50-uses {
			t.Errorf("%d uses: %d scripts, %d late", uses, got.Load(), gone.Load())
		}
	}
}

// Two relays on the same records: their locks don't know of each other, so the
// records alone decide.
func TestInvites_TwoRelays(t *testing.T) {
	f := openInvites(t, 10)
	g := &inviteFixture{t: t, records: f.records}
	g.now.Store(f.now.Load())
	g.open(10)
	defer g.Close()
	token := f.must(1, time.Hour, times(20)).Token
	var got atomic.Int64
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			if _, err := []*inviteFixture{f, g}[i%2].Script(token, false); err == nil {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 20 {
		t.Errorf("%d scripts", got.Load())
	}
	f.want(token, ErrInviteGone)
	g.want(token, ErrInviteGone)
	if f.Len() != 0 || g.Len() != 0 {
		t.Errorf("%d and %d are live", f.Len(), g.Len())
	}
}

func TestInvites_Expire_AndAreSwept(t *testing.T) {
	f := openInvites(t, 10)
	short := f.must(1, 0, nil) // the shortest life there is
	long := f.must(1, 1000*time.Hour, nil)
	if s, l := short.Expires.Sub(short.Created), long.Expires.Sub(long.Created); s != MinInviteLife || l != MaxInviteLife {
		t.Errorf("they live %v and %v", s, l)
	}
	f.now.Add(59)
	f.want(short.Token, nil)
	f.now.Add(1)
	f.want(short.Token, ErrInviteGone)
	if _, err := f.URL(short.Token); !errors.Is(err, ErrInviteGone) {
		t.Errorf("the URL: %v", err)
	}
	f.sweep()
	f.restart(10)
	f.want(short.Token, ErrInviteGone)
	f.want(long.Token, nil)
	f.now.Add(int64(keepOver/time.Second) - 1)
	f.sweep()
	f.want(short.Token, ErrInviteGone)
	f.now.Add(1)
	busy := cow.ErrBusy
	f.gate.Store(&busy)
	f.sweep() // can't
	f.want(short.Token, ErrInviteGone)
	full := cow.ErrNoSpace
	f.gate.Store(&full)
	f.sweep() // a full disk is no reason to keep it
	f.want(short.Token, ErrNoInvite)
	if n, m := f.recorded(), len(f.books.byToken); n != 1 || m != 1 || f.Stats.Swept.Load() != 1 {
		t.Errorf("%d records, %d in memory, %d swept", n, m, f.Stats.Swept.Load())
	}
	f.want(long.Token, nil)
}

// A clock that is set back must not cost a live invite.
func TestInvites_ClockGoesBack(t *testing.T) {
	f := openInvites(t, 10)
	token := f.must(1, time.Hour, nil).Token
	f.now.Add(100_000) // so late that a sweep is due to drop it
	if f.Len() != 0 {
		t.Fatal("it is live")
	}
	f.now.Add(-100_000)
	f.sweep()
	f.want(token, nil)
	if f.Len() != 1 {
		t.Errorf("%d are live", f.Len())
	}
}

func TestInvites_Bounds(t *testing.T) {
	f := openInvites(t, 8)
	try := func(source Source, want error) {
		t.Helper()
		if _, err := f.Register(source, someInvite, time.Minute, nil); !errors.Is(err, want) {
			t.Errorf("source %d: %v, want %v", source, err, want)
		}
	}
	try(1, nil)
	used := f.must(1, time.Hour, times(1)).Token
	try(1, ErrShare)
	try(2, nil)
	f.restart(8) // shares are kept
	try(1, ErrShare)
	f.want(used, nil)
	try(1, nil) // the used one counts no more
	for range 5 {
		try(0, nil) // no share holds this machine
	}
	try(3, ErrTooMany)
	try(0, ErrTooMany)
	if n := f.Stats.Refused.Load(); n != 3 {
		t.Errorf("%d were refused", n)
	}
	f.now.Add(60)
	try(3, nil)
	if n := f.Len(); n != 1 {
		t.Errorf("%d are live", n)
	}
}

// Of those that are over, the source with the most loses first, and memory and
// records stay bounded.
func TestInvites_ManyThatAreOver(t *testing.T) {
	f := openInvites(t, 8)
	lone := f.must(9, time.Minute, times(1)).Token
	f.want(lone, nil)
	var last string
	for range 100 {
		last = f.must(1, time.Minute, times(1)).Token
		f.want(last, nil)
		f.sweep()
	}
	f.want(lone, ErrInviteGone)
	f.want(last, ErrInviteGone)
	if n, m := f.recorded(), len(f.books.byToken); n != 8 || m != 8 {
		t.Errorf("%d records, %d in memory", n, m)
	}
	// Without sweeps registrations stop before memory grows.
	busy := cow.ErrBusy
	for i := range 100 {
		invite, err := f.Register(1, someInvite, time.Minute, times(1))
		if errors.Is(err, ErrTooMany) && i >= 8 {
			break
		}
		f.want(invite.Token, nil)
		if i == 99 {
			t.Error("registrations go on without sweeps")
		}
	}
	f.gate.Store(&busy)
	f.sweep()
	f.gate.Store(nil)
	f.sweep()
	if n := f.recorded(); n != 8 {
		t.Errorf("%d records", n)
	}
	f.must(1, time.Minute, nil)
}

func TestInvites_Refusals(t *testing.T) {
	f := openInvites(t, 8)
	for _, row := range []struct {
		url  string
		uses *int64
		want error
	}{
		{"https://pair?", nil, ErrInviteURL}, {"wire://pair?\n", nil, ErrInviteURL}, {"wire://pair?é", nil, ErrInviteURL},
		{"wire://pair?" + strings.Repeat("x", MaxInviteURL-11), nil, ErrLongInvite}, {someInvite, times(0), ErrNoUses}, {someInvite, times(-1), ErrNoUses},
		{"wire://pair?" + strings.Repeat("x", MaxInviteURL-12), nil, nil},
	} {
		if _, err := f.Register(1, row.url, time.Hour, row.uses); !errors.Is(err, row.want) {
			t.Errorf("%.40s: %v, want %v", row.url, err, row.want)
		}
	}
	f.want("0123456789abcdef", ErrNoInvite)
	f.want("nothing", ErrNoInvite)
	f.want("", ErrNoInvite)
	// What the records refuse holds no place.
	token := f.must(1, time.Hour, times(1)).Token
	busy := cow.ErrBusy
	f.gate.Store(&busy)
	if _, err := f.Register(2, someInvite, time.Hour, nil); !errors.Is(err, cow.ErrBusy) {
		t.Errorf("registered while the store is busy: %v", err)
	}
	f.want(token, cow.ErrBusy)
	f.gate.Store(nil)
	f.want(token, nil)
	if n := f.Len(); n != 1 {
		t.Errorf("%d are live", n)
	}
}

// Records of others: short tokens, and one that can't be read.
func TestInvites_ForeignRecords(t *testing.T) {
	f := openInvites(t, 8)
	put := func(token, value string) {
		t.Helper()
		if err := putRecord(f.records, InviteKey(token), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	put("abcdef", fmt.Sprintf(`{"url":%q,"expires_unix":%d,"created_unix":1}`, someInvite, f.now.Load()+100))
	put("0000000000000000", "{")
	f.restart(8)
	f.want("abcdef", nil)
	if _, err := f.Script("0000000000000000", false); err == nil || errors.Is(err, ErrNoInvite) {
		t.Errorf("a record that can't be read: %v", err)
	}
	f.now.Add(100 + int64(keepOver/time.Second))
	f.sweep()
	f.want("abcdef", ErrNoInvite)
}
