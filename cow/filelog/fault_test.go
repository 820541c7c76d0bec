package filelog

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestFullDisk: an append that needs a segment waits for room, and Room says so
// before one does.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemFS()
		opts := Options{FS: m, Create: true, SegmentBytes: MinSegmentBytes}
		l := mustOpen(t, memDir, opts)
		synctest.Wait()
		full := true
		m.mu.Lock()
		m.before = func(_ int, op string) error {
			if full && (op == "reserve" || op == "create") {
				return syscall.ENOSPC
			}
			return nil
		}
		m.mu.Unlock()
		if err := l.Room(); err != nil {
			t.Fatalf("Room: %v", err)
		}
		started := make(chan uint64)
		returned := make(chan error)
		go func() {
			for range 60 {
				started <- l.Last() + 1
				_, err := l.Append(entry(l.Last() + 1))
				returned <- err
			}
			close(started)
		}()
		blocked := false
		for seq := range started {
			synctest.Wait()
			select {
			case err := <-returned:
				if err != nil {
					t.Fatalf("Append of %d: %v", seq, err)
				}
				continue
			default:
			}
			if blocked {
				t.Fatal("an append waited when there was room again")
			}
			blocked = true
			if err := l.Room(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Room while an append waits: %v, want ENOSPC", err)
			}
			time.Sleep(time.Minute)
			m.mu.Lock()
			full = false
			m.mu.Unlock()
			time.Sleep(2 * retry)
			if err := <-returned; err != nil {
				t.Fatalf("Append of %d: %v", seq, err)
			}
			time.Sleep(2 * retry)
			if err := l.Room(); err != nil {
				t.Fatalf("Room when there is some again: %v", err)
			}
		}
		if !blocked {
			t.Fatal("no append waited")
		}
		mustClose(t, l)
		opts.Create = false
		l = mustOpen(t, memDir, opts)
		wantRead(t, l, 1, 1, 60)
		mustClose(t, l)
	})
}

// TestDiskFails: after a failed write or sync nothing is appended any more, also if
// the keeper met it.
func TestDiskFails(t *testing.T) {
	for _, sync := range []Sync{Always, Interval} {
		for _, op := range []string{"write", "sync", "rename", "sync folder"} {
			m := newMemFS()
			opts := Options{FS: m, Create: true, SegmentBytes: MinSegmentBytes, Sync: sync, Interval: time.Millisecond}
			l := mustOpen(t, memDir, opts)
			mustAppend(t, l, 10)
			m.mu.Lock()
			m.before = func(_ int, o string) error {
				if o == op {
					return syscall.EIO
				}
				return nil
			}
			m.mu.Unlock()
			var err error
			for deadline := time.Now().Add(time.Minute); err == nil && time.Now().Before(deadline); {
				acked := l.Last()
				if _, err = l.Append(entry(acked + 1)); err == nil {
					err = l.Trim(acked)
				}
			}
			if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), memDir) {
				t.Fatalf("%v, %s fails: %v, want EIO and the folder", sync, op, err)
			}
			if _, again := l.Append(entry(1)); !errors.Is(again, syscall.EIO) {
				t.Fatalf("%v, %s fails: the next Append: %v", sync, op, again)
			}
			last := l.Last()
			if err := l.Close(); !errors.Is(err, syscall.EIO) {
				t.Fatalf("%v, %s fails: Close: %v", sync, op, err)
			}
			m.before = nil
			l = mustOpen(t, memDir, opts)
			if l.Last() < last {
				t.Fatalf("%v, %s failed: the log ends at %d, want %d", sync, op, l.Last(), last)
			}
			mustClose(t, l)
		}
	}
}

// TestNoDescriptor: a segment that can't be opened now is opened later.
func TestNoDescriptor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemFS()
		l := mustOpen(t, memDir, Options{FS: m, Create: true, SegmentBytes: MinSegmentBytes})
		synctest.Wait()
		failures := 0
		m.mu.Lock()
		m.before = func(_ int, op string) error {
			if (op == "create" || op == "sync folder" || op == "rename") && failures < 7 {
				failures++
				return syscall.EMFILE
			}
			return nil
		}
		m.mu.Unlock()
		for range 40 {
			mustAppend(t, l, 1)
			if err := l.Trim(l.Last() - 1); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, l)
		if failures < 7 {
			t.Fatalf("%d failures, want 7", failures)
		}
		l = mustOpen(t, memDir, Options{FS: m, SegmentBytes: MinSegmentBytes, Base: 39})
		wantRead(t, l, 40, 40, 40)
		mustClose(t, l)
	})
}

// TestReuse: a log that is trimmed as it grows keeps few files, whose old frames
// never come back, and it sleeps when nothing is to be done.
func TestReuse(t *testing.T) {
	for _, files := range []int{MinOpenFiles, DefaultOpenFiles} {
		t.Run(fmt.Sprintf("files=%d", files), func(t *testing.T) { testReuse(t, files) })
	}
}

func testReuse(t *testing.T, files int) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemFS()
		opts := Options{FS: m, Create: true, SegmentBytes: MinSegmentBytes, OpenFiles: files}
		l := mustOpen(t, memDir, opts)
		_, mostReady := l.opts.ahead()
		for range 500 {
			mustAppend(t, l, 1)
			if err := l.Trim(max(l.Last(), 4) - 4); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if s := l.Stats(); s.Segments > 4+mostReady || s.Bytes != int64(s.Segments)*MinSegmentBytes {
				t.Fatalf("stats %+v", s)
			}
		}
		if l.number < 20 {
			t.Fatalf("%d segments, want more", l.number)
		}
		if files := len(m.segments()); files > 4+mostReady {
			t.Fatalf("%d files", files)
		}
		m.mu.Lock()
		steps := m.steps
		m.mu.Unlock()
		time.Sleep(time.Hour)
		m.mu.Lock()
		if m.steps != steps {
			t.Fatal("an idle log writes")
		}
		m.mu.Unlock()
		last := l.Last()
		mustClose(t, l)
		l = mustOpen(t, memDir, opts)
		if l.Last() != last {
			t.Fatalf("the log ends at %d, want %d", l.Last(), last)
		}
		wantRead(t, l, last-3, last-3, last)
		mustClose(t, l)
	})
}
