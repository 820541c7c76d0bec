package journaltest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"cowrelay/cow"
)

func (s *suite) value(key, want string, version uint64) {
	s.Helper()
	value, got, err := s.r.Value(key)
	if version == 0 {
		if !errors.Is(err, cow.ErrNoRecord) || got != 0 {
			s.Fatalf("record %q: %q, version %d, %v; want ErrNoRecord", key, value, got, err)
		}
		return
	}
	if err != nil || string(value) != want || got != version {
		s.Fatalf("record %q: %q, version %d, %v; want %q, version %d", key, value, got, err, want, version)
	}
}

func (s *suite) put(key, value string, expected uint64) uint64 {
	s.Helper()
	version, err := s.r.Put(key, []byte(value), expected, cow.Totals{})
	if err != nil || version == 0 || version == expected {
		s.Fatalf("put of %q over version %d: version %d, %v", key, expected, version, err)
	}
	return version
}

func (s *suite) conflict(err error) {
	s.Helper()
	if !errors.Is(err, cow.ErrConflict) {
		s.Fatalf("error %v, want ErrConflict", err)
	}
}

func testRecord(t *testing.T, s *suite) {
	s.value("a", "", 0)
	v1 := s.put("a", "one", 0)
	s.value("a", "one", v1)
	v2 := s.put("a", "", v1)
	s.value("a", "", v2)
	v3 := s.put("a", "three", v2)
	if err := s.r.Delete("a", v3); err != nil {
		t.Fatal(err)
	}
	s.value("a", "", 0)
	big := string(make([]byte, 300_000))
	v4 := s.put("key/with:odd ünicode", big, 0)
	s.value("key/with:odd ünicode", big, v4)
	s.reopen()
	s.value("a", "", 0)
	s.value("key/with:odd ünicode", big, v4)
}

// testRecordVersions: no version of a key ever comes back, so that an old
// decision never passes for a new one.
func testRecordVersions(t *testing.T, s *suite) {
	seen := make(map[uint64]bool)
	var last uint64
	for round := range 6 {
		_, err := s.r.Put("k", []byte("x"), last+1, cow.Totals{})
		s.conflict(err)
		v := s.put("k", fmt.Sprint(round), last)
		if seen[v] {
			t.Fatalf("version %d was given out twice", v)
		}
		for old := range seen {
			_, err := s.r.Put("k", []byte("x"), old, cow.Totals{})
			s.conflict(err)
			s.conflict(s.r.Delete("k", old))
		}
		seen[v] = true
		_, err = s.r.Put("k", []byte("x"), 0, cow.Totals{})
		s.conflict(err)
		s.conflict(s.r.Delete("k", 0))
		s.value("k", fmt.Sprint(round), v)
		last = v
		if round%2 == 1 {
			if err := s.r.Delete("k", v); err != nil {
				t.Fatal(err)
			}
			s.conflict(s.r.Delete("k", v))
			s.conflict(s.r.Delete("k", 0))
			s.value("k", "", 0)
			last = 0
		}
		s.reopen()
	}
}

func testRecordList(t *testing.T, s *suite) {
	want := map[string]string{}
	for _, key := range []string{"h/b", "h/a", "h/", "h", "i/x", "g/z", "h/a/c", "h0", "h/\xff", "h/\xffz"} {
		s.put(key, "value of "+key, 0)
		want[key] = "value of " + key
	}
	v := s.put("h/gone", "", 0)
	if err := s.r.Delete("h/gone", v); err != nil {
		t.Fatal(err)
	}
	s.commit(cow.Group{Op: cow.OpCreate, Slot: cow.NewID()}) // slots are no records
	for range 2 {
		for _, prefix := range []string{"", "h", "h/", "h/a", "h/\xff", "z"} {
			got := map[string]string{}
			last := ""
			err := s.r.List(prefix, func(key string, value []byte, version uint64) error {
				if key <= last && last != "" {
					t.Errorf("list of %q gives %q after %q", prefix, key, last)
				}
				last = key
				got[key] = string(value)
				s.value(key, string(value), version)
				clear(value)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			expect := maps.Clone(want)
			maps.DeleteFunc(expect, func(key, _ string) bool { return len(key) < len(prefix) || key[:len(prefix)] != prefix })
			if !maps.Equal(got, expect) {
				t.Fatalf("list of %q gives %v, want %v", prefix, got, expect)
			}
		}
		stop := errors.New("stop")
		if err := s.r.List("h", func(string, []byte, uint64) error { return stop }); err != stop {
			t.Fatalf("list returned %v, want the error of yield", err)
		}
		s.reopen()
	}
}

// testRecordRace: of writers that expect the same version one wins.
func testRecordRace(t *testing.T, s *suite) {
	const writers, rounds = 8, 20
	var wg sync.WaitGroup
	wins := make([]int, writers)
	for w := range writers {
		wg.Go(func() {
			for wins[w] < rounds {
				_, version, err := s.r.Value("counter")
				if err != nil && !errors.Is(err, cow.ErrNoRecord) {
					t.Errorf("value: %v", err)
					return
				}
				var n int
				if version != 0 {
					value, v, err := s.r.Value("counter")
					if err != nil {
						t.Errorf("value: %v", err)
						return
					}
					version = v
					fmt.Sscan(string(value), &n)
				}
				switch _, err := s.r.Put("counter", fmt.Append(nil, n+1), version, cow.Totals{}); {
				case err == nil:
					wins[w]++
				case !errors.Is(err, cow.ErrConflict):
					t.Errorf("put: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	value, _, err := s.r.Value("counter")
	if err != nil || string(value) != fmt.Sprint(writers*rounds) {
		t.Fatalf("counter is %q, %v after %d increments", value, err, writers*rounds)
	}
}

func testRecordWatch(t *testing.T, s *suite) {
	type change struct {
		key, value string
		version    uint64
	}
	var mu sync.Mutex
	var got []change
	watch := func(key string, value []byte, version uint64) {
		mu.Lock()
		defer mu.Unlock()
		if (value == nil) != (version == 0) {
			t.Errorf("change of %q with value %q and version %d", key, value, version)
		}
		got = append(got, change{key, string(value), version})
	}
	// A journal with other writers tells its changes when they come back from
	// there: wait, but not for ever.
	wait := func(want ...change) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for {
			mu.Lock()
			ok := slices.Equal(got, want)
			mu.Unlock()
			if ok {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("watch told %v, want %v", got, want)
			}
			time.Sleep(time.Millisecond)
		}
	}
	s.put("w/before", "x", 0)
	stop := s.r.Watch("w/", watch)
	v1 := s.put("w/a", "1", 0)
	s.put("v/a", "no", 0)
	v2 := s.put("w/a", "2", v1)
	_, err := s.r.Put("w/a", []byte("lost"), v1, cow.Totals{})
	s.conflict(err)
	v3 := s.put("w/b", "", 0)
	if err := s.r.Delete("w/a", v2); err != nil {
		t.Fatal(err)
	}
	want := []change{{"w/a", "1", v1}, {"w/a", "2", v2}, {"w/b", "", v3}, {"w/a", "", 0}}
	wait(want...)
	stop()
	s.put("w/c", "after", 0)
	time.Sleep(10 * time.Millisecond)
	wait(want...)
}

// testRecordCount: a put and its count are stored together or not at all, what Count
// adds outlives Close, and Commit counts beside them.
func testRecordCount(t *testing.T, s *suite) {
	put := func(key string, expected uint64, count cow.Totals) uint64 {
		t.Helper()
		version, err := s.r.Put(key, []byte("x"), expected, count)
		if err != nil {
			t.Fatal(err)
		}
		s.totals = s.totals.Add(count)
		s.check()
		return version
	}
	v1 := put("a", 0, cow.Totals{HandleClaims: 1, HandleFirstClaims: 1})
	v2 := put("a", v1, cow.Totals{HandleClaims: 1})
	_, err := s.r.Put("a", []byte("lost"), v1, cow.Totals{HandleClaims: 100})
	s.conflict(err)
	s.check()
	put("b", 0, cow.Totals{})
	s.append(s.create(), 3, 100)
	s.check()
	s.reopen()
	s.check()
	for round := range 3 {
		add := cow.Totals{PairOpens: uint64(round + 1)}
		if err := s.r.Count(add); err != nil {
			t.Fatal(err)
		}
		s.totals = s.totals.Add(add)
		s.check()
		if round == 1 {
			s.create() // a batch between Count and Close takes it along
			s.check()
		}
		s.reopen()
		s.check()
	}
	put("a", v2, cow.Totals{SlotAllocations: 1 << 40, EventsPosted: 1 << 50, HandleClaims: 7, HandleFirstClaims: 3, PairOpens: 1 << 60})
	s.reopen()
	s.check()
}

// testRecordCountRace: no count is lost or doubled while puts, counts and commits run
// side by side.
func testRecordCountRace(t *testing.T, s *suite) {
	const writers, rounds = 8, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var version uint64
			for range rounds {
				var err error
				if version, err = s.r.Put(fmt.Sprint("k", w), []byte("x"), version, cow.Totals{HandleClaims: 1}); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				if err := s.r.Count(cow.Totals{PairOpens: 1}); err != nil {
					t.Errorf("count: %v", err)
					return
				}
			}
		})
	}
	for range rounds {
		s.create()
	}
	wg.Wait()
	s.totals = s.totals.Add(cow.Totals{HandleClaims: writers * rounds, PairOpens: writers * rounds})
	s.check()
	s.reopen()
	s.check()
}
