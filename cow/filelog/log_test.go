package filelog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// entry returns the contents of entry seq: any size, anything in it.
func entry(seq uint64) []byte {
	n := int(seq*7919%400) + 1
	return bytes.Repeat([]byte(fmt.Sprintf("entry %d. ", seq)), n/8+1)[:n]
}

func mustOpen(t testing.TB, dir string, opts Options) *Log {
	t.Helper()
	opts.Logger = quiet()
	l, err := Open(dir, opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return l
}

func mustAppend(t testing.TB, l *Log, n int) {
	t.Helper()
	for range n {
		want := l.Last() + 1
		if seq, err := l.Append(entry(want)); err != nil || seq != want {
			t.Fatalf("Append returned %d, %v, want %d", seq, err, want)
		}
	}
}

func mustClose(t testing.TB, l interface{ Close() error }) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// readAll checks each entry that it gets and returns the numbers of the first and
// the last one.
func readAll(l interface {
	Read(uint64, func(uint64, []byte) error) error
}, from uint64) (first, last uint64, err error) {
	err = l.Read(from, func(seq uint64, b []byte) error {
		if first == 0 {
			first = seq
		} else if seq != last+1 {
			return fmt.Errorf("entry %d follows %d", seq, last)
		}
		last = seq
		if !bytes.Equal(b, entry(seq)) {
			return fmt.Errorf("entry %d holds something else", seq)
		}
		return nil
	})
	return first, last, err
}

func wantRead(t testing.TB, l interface {
	Read(uint64, func(uint64, []byte) error) error
}, from, wantFirst, wantLast uint64) {
	t.Helper()
	if first, last, err := readAll(l, from); err != nil || first != wantFirst || last != wantLast {
		t.Fatalf("Read(%d) gave %d to %d, %v; want %d to %d", from, first, last, err, wantFirst, wantLast)
	}
}

func TestLogOnDisk(t *testing.T) {
	dir := t.TempDir() + "/a/log"
	if _, err := Open(dir, Options{Logger: quiet()}); !errors.Is(err, ErrMissing) {
		t.Fatalf("Open without Create: %v, want ErrMissing", err)
	}
	opts := Options{SegmentBytes: 8 << 10}
	create := opts
	create.Create, create.Base = true, 41
	l := mustOpen(t, dir, create)
	if l.Last() != 41 {
		t.Fatalf("Last is %d, want 41", l.Last())
	}
	mustAppend(t, l, 100)
	mustClose(t, l)
	l = mustOpen(t, dir, opts)
	wantRead(t, l, 42, 42, 141)
	wantRead(t, l, 100, 100, 141)
	wantRead(t, l, 142, 0, 0)
	mustAppend(t, l, 10)
	if err := l.Trim(120); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	l = mustOpen(t, dir, opts)
	wantRead(t, l, 121, 121, 151)
	var d *Damage
	if _, _, err := readAll(l, 42); !errors.As(err, &d) {
		t.Fatalf("reading trimmed entries: %v, want damage", err)
	}
	mustClose(t, l)
}

func TestBaseAheadOfLog(t *testing.T) {
	m := newMemFS()
	opts := Options{FS: m, Create: true, SegmentBytes: 4 << 10}
	l := mustOpen(t, "/log", opts)
	mustAppend(t, l, 30)
	mustClose(t, l)
	ahead := opts
	ahead.Base = 50
	l = mustOpen(t, "/log", ahead)
	if l.Last() != 50 {
		t.Fatalf("Last is %d, want 50", l.Last())
	}
	mustClose(t, l)
	l = mustOpen(t, "/log", opts)
	mustAppend(t, l, 10)
	mustClose(t, l)
	l = mustOpen(t, "/log", opts)
	wantRead(t, l, 51, 51, 60)
	mustClose(t, l)
}

// TestSuite runs the suite of all logs on the real disk in each mode.
func TestSuite(t *testing.T) {
	for _, sync := range []Sync{Always, Interval, Off} {
		if testing.Short() && sync == Off {
			continue // the plain run takes each; here nothing runs beside the appends
		}
		t.Run(sync.String(), func(t *testing.T) {
			t.Parallel() // it waits for the disk, mostly
			replaytest.RunLog(t, func(t testing.TB) (replay.Log, func() replay.Log) {
				dir, opts := t.TempDir(), Options{Create: true, SegmentBytes: 64 << 10, Sync: sync, Interval: time.Millisecond}
				l := mustOpen(t, dir, opts)
				t.Cleanup(func() { mustClose(t, l) })
				return l, func() replay.Log {
					mustClose(t, l)
					opts.Create = false
					l = mustOpen(t, dir, opts)
					return l
				}
			})
		})
	}
}
