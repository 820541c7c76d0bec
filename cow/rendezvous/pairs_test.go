package rendezvous

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type pairFixture struct {
	*Pairs
	t   *testing.T
	now atomic.Int64 // nanoseconds
}

func newPairFixture(t *testing.T, most int, bytes int64) *pairFixture {
	f := &pairFixture{t: t}
	f.Pairs = NewPairs(most, bytes, time.Minute, f.now.Load)
	return f
}

func (f *pairFixture) must(source Source, code, message string, role Role) string {
	f.t.Helper()
	id, err := f.Open(source, code, message, role)
	if err != nil || len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		f.t.Fatalf("%q, %v", id, err)
	}
	return id
}

// sees says what a role finds.
func (f *pairFixture) sees(id string, as Role) string {
	message, bootstrap, err := f.Look(id, as)
	if err != nil {
		return err.Error()
	}
	show := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	return show(message) + " " + show(bootstrap)
}

func (f *pairFixture) want(id string, as Role, want string) {
	f.t.Helper()
	if got := f.sees(id, as); got != want {
		f.t.Errorf("role %d sees %q, want %q", as, got, want)
	}
}

// empty expects that nothing is held for anybody.
func (f *pairFixture) empty() {
	f.t.Helper()
	if f.Len() != 0 || f.held != 0 || f.texts.Used() != 0 || f.places.Used() != 0 || len(f.byCode) != 0 || f.order.Len() != 0 {
		f.t.Errorf("something is left: %d pairs, %d bytes, %d and %d of shares", f.Len(), f.held, f.texts.Used(), f.places.Used())
	}
}

func TestPairs_TwoSides(t *testing.T) {
	f := newPairFixture(t, 10, 1<<20)
	id := f.must(1, "code", "m1", Host)
	f.want(id, Host, "- -")
	f.want(id, Guest, "m1 -")
	if _, err := f.Open(1, "code", "m1", Host); !errors.Is(err, ErrRoleTaken) {
		t.Errorf("a role twice: %v", err)
	}
	if other := f.must(2, "code", "", Guest); other != id {
		t.Errorf("the sides have %s and %s", id, other)
	}
	f.want(id, Host, " -")
	for _, sealed := range []string{"long text", "b", "b2"} {
		if err := f.Bootstrap(2, id, sealed, Guest); err != nil {
			t.Fatal(err)
		}
	}
	f.want(id, Host, " b2")
	f.want(id, Guest, "m1 -")
	if f.must(1, "code2", "m", Host) == id {
		t.Error("two codes have one id")
	}
	if f.Len() != 2 || f.Opened() != 2 || !f.Has(id) {
		t.Errorf("%d open, %d opened", f.Len(), f.Opened())
	}
	f.Abandon("code")
	f.Abandon("nobody's")
	f.want(id, Host, ErrNoPair.Error())
	if err := f.Bootstrap(1, id, "b", Host); !errors.Is(err, ErrNoPair) || f.Has(id) {
		t.Errorf("an abandoned pair: %v", err)
	}
	if f.must(1, "code", "m3", Host) == id {
		t.Error("an id came back")
	}
	f.Abandon("code")
	f.Abandon("code2")
	f.empty()
}

// A pair goes when it has been idle, and each touch makes it stay.
func TestPairs_IdleOnesGo(t *testing.T) {
	f := newPairFixture(t, 10, 1<<20)
	id := f.must(1, "code", "m1", Host)
	idle := f.must(1, "other", "m1", Host)
	step := func() { f.now.Add(int64(time.Minute) - 1) }
	step()
	f.want(id, Guest, "m1 -")
	step()
	if f.Len() != 1 || f.Has(idle) {
		t.Errorf("%d pairs", f.Len())
	}
	f.must(2, "code", "m2", Guest)
	step()
	if err := f.Bootstrap(2, id, "b", Guest); err != nil {
		t.Error(err)
	}
	step()
	f.want(id, Host, "m2 b")
	f.now.Add(int64(time.Minute))
	f.want(id, Host, ErrNoPair.Error())
	f.empty()
	if f.Opened() != 2 {
		t.Errorf("%d opened", f.Opened())
	}
}

func TestPairs_Bounds(t *testing.T) {
	f := newPairFixture(t, 8, 1<<20)
	code := 0
	try := func(source Source, want error) {
		t.Helper()
		code++
		if _, err := f.Open(source, fmt.Sprint(code), "m", Host); !errors.Is(err, want) {
			t.Errorf("source %d: %v, want %v", source, err, want)
		}
	}
	try(1, nil)
	try(1, nil)
	try(1, ErrShare)
	// The other side of another's pair takes no place.
	try(2, nil)
	if _, err := f.Open(1, fmt.Sprint(code), "m", Guest); err != nil {
		t.Error(err)
	}
	f.Abandon("1")
	try(1, nil)
	for range 5 {
		try(0, nil)
	}
	try(3, ErrTooMany)
	try(0, ErrTooMany)
	if f.Len() != 8 || f.Refused() != 3 {
		t.Errorf("%d pairs, %d refused", f.Len(), f.Refused())
	}
	f.now.Add(int64(time.Minute))
	f.empty()
}

// Texts have a bound in bytes, and one source takes half of it.
func TestPairs_Bytes(t *testing.T) {
	const each = 1000 + textBytes
	f := newPairFixture(t, 100, 10*each)
	big := strings.Repeat("x", 1000)
	for i := range 5 {
		f.must(1, fmt.Sprint(i), big, Host)
	}
	if _, err := f.Open(1, "more", big, Host); !errors.Is(err, ErrShare) {
		t.Errorf("over the share: %v", err)
	}
	// A failed side of a pair leaves the pair as it was.
	id := f.must(2, "two", big, Host)
	if _, err := f.Open(1, "two", big, Guest); !errors.Is(err, ErrShare) {
		t.Errorf("over the share: %v", err)
	}
	if err := f.Bootstrap(1, id, big, Guest); !errors.Is(err, ErrShare) {
		t.Errorf("over the share: %v", err)
	}
	f.want(id, Guest, big+" -")
	for i := range 4 {
		f.must(0, fmt.Sprint("local", i), big, Host)
	}
	if _, err := f.Open(0, "more", big, Host); !errors.Is(err, ErrTooMany) {
		t.Errorf("over all: %v", err)
	}
	if err := f.Bootstrap(3, id, big, Guest); !errors.Is(err, ErrTooMany) {
		t.Errorf("over all: %v", err)
	}
	f.Abandon("local0")
	// What replaces a text takes its place, however often.
	for i := range 1000 {
		if err := f.Bootstrap(3, id, big[:1+i%500], Guest); err != nil {
			t.Fatal(err)
		}
	}
	f.now.Add(int64(time.Minute))
	f.empty()
}

// Many pairs at once, in many goroutines: both sides of each get one id, and one
// of two same roles wins.
func TestPairs_Concurrent(t *testing.T) {
	f := newPairFixture(t, 1000, 1<<20)
	var all sync.WaitGroup
	for i := range 50 {
		code := fmt.Sprint(i)
		var won, ids sync.Map
		var rivals sync.WaitGroup
		for j := range 6 {
			role := Role(j % 2)
			rivals.Add(1)
			all.Go(func() {
				defer rivals.Done()
				if id, err := f.Open(Source(j), code, "m", role); err == nil {
					ids.Store(id, true)
					if _, twice := won.LoadOrStore(role, true); twice {
						t.Error("a role was given twice")
					}
				} else if !errors.Is(err, ErrRoleTaken) {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			rivals.Wait()
			n := 0
			ids.Range(func(any, any) bool { n++; return true })
			if n != 1 {
				t.Errorf("%d ids for a code", n)
			}
			f.Abandon(code)
		})
	}
	all.Wait()
	f.empty()
}
