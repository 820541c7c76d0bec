package serve

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// badOutput is an output that fails, or waits, as set has it.
type badOutput struct {
	mu sync.Mutex
	bytes.Buffer
	wrote int // writes
	fail  error
	take  int // bytes that a failing write takes first
	hold  chan struct{}
}

func (o *badOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	hold := o.hold
	o.mu.Unlock()
	if hold != nil {
		<-hold
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrote++
	if o.fail != nil {
		n := min(o.take, len(p))
		o.Buffer.Write(p[:n])
		return n, o.fail
	}
	return o.Buffer.Write(p)
}

func (o *badOutput) set(fail error, take int, hold chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail, o.take, o.hold = fail, take, hold
}

func (o *badOutput) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.String()
}

func missingNote(n uint64) []byte { return fmt.Appendf(nil, "missing %d\n", n) }

func newTestLog(t *testing.T, out *badOutput) *logWriter {
	w := newLogWriter(out, missingNote)
	t.Cleanup(func() {
		out.set(nil, 0, nil)
		w.close(30 * time.Second)
	})
	return w
}

// Lines come out as they went in, many to a write, never in parts where a pipe
// would take them whole.
func TestLogWriter_AllLines(t *testing.T) {
	out := new(badOutput)
	w := newTestLog(t, out)
	hold := make(chan struct{})
	out.set(nil, 0, hold)
	var want strings.Builder
	for i := range 3000 {
		line := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", i%300))
		want.WriteString(line)
		fmt.Fprint(w, line)
	}
	out.set(nil, 0, nil)
	close(hold)
	if !w.flush(30*time.Second) || out.text() != want.String() {
		t.Errorf("%d bytes of %d", len(out.text()), want.Len())
	}
	if least := want.Len() / logPiece; out.wrote < least || out.wrote > 2*least+2 {
		t.Errorf("%d writes", out.wrote)
	}
	if full, failed := w.dropped(); full+failed != 0 {
		t.Errorf("%d and %d dropped", full, failed)
	}
}

// Who logs never waits for an output that hangs; the bounds hold in lines and
// in bytes, and a line in its place says what is missing.
func TestLogWriter_Stalled(t *testing.T) {
	for name, line := range map[string]string{"lines": "line\n", "bytes": strings.Repeat("x", logBytes/8-1) + "\n"} {
		t.Run(name, func(t *testing.T) {
			out := new(badOutput)
			w := newTestLog(t, out)
			hold := make(chan struct{})
			out.set(nil, 0, hold)
			const all = 3 * LogLines
			fmt.Fprint(w, line)
			for taken := false; !taken; time.Sleep(time.Millisecond) {
				w.mu.Lock()
				taken = w.lines == 0
				w.mu.Unlock()
			}
			for range all - 1 {
				fmt.Fprint(w, line)
			}
			if w.flush(10 * time.Millisecond) {
				t.Error("flushed though nothing could be written")
			}
			w.mu.Lock()
			if w.lines > LogLines || len(w.queue) > logBytes {
				t.Errorf("%d lines and %d bytes wait", w.lines, len(w.queue))
			}
			w.mu.Unlock()
			full, failed := w.dropped()
			if full == 0 || failed != 0 {
				t.Errorf("%d and %d dropped", full, failed)
			}
			out.set(nil, 0, nil)
			close(hold)
			w.flush(30 * time.Second)
			fmt.Fprint(w, "last\n")
			w.flush(30 * time.Second)
			kept := strings.Count(out.text(), line)
			if kept+int(full) != all {
				t.Errorf("%d written and %d dropped of %d", kept, full, all)
			}
			if !strings.HasSuffix(out.text(), string(missingNote(full))+"last\n") {
				t.Errorf("the end is %.100q", out.text()[max(len(out.text())-100, 0):])
			}
		})
	}
}

// Lines that can't be written are counted, and the next one that can comes behind a
// line that says so. A line that was written in part does not join the next.
func TestLogWriter_Fails(t *testing.T) {
	out := new(badOutput)
	w := newTestLog(t, out)
	say := func(line string) {
		fmt.Fprint(w, line)
		w.flush(30 * time.Second)
	}
	say("one\n")
	out.set(syscall.ENOSPC, 2, nil)
	say("two\n")
	out.set(syscall.ENOSPC, 0, nil)
	say("three\n")
	out.set(nil, 0, nil)
	say("four\n")
	if want := "one\ntw\nmissing 2\nfour\n"; out.text() != want {
		t.Errorf("%q, want %q", out.text(), want)
	}
	if full, failed := w.dropped(); full != 0 || failed != 2 {
		t.Errorf("%d and %d dropped", full, failed)
	}
}

// A pipe that does not block and is full is waited for.
func TestLogWriter_NonBlockingPipe(t *testing.T) {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	file := os.NewFile(uintptr(p[1]), "pipe")
	defer file.Close()
	if err := unix.SetNonblock(p[1], true); err != nil { // behind the back of file, as another process would
		t.Fatal(err)
	}
	w := newLogWriter(file, missingNote)
	line := strings.Repeat("x", 999) + "\n"
	const lines = 200 // more than the pipe takes
	for range lines {
		fmt.Fprint(w, line)
	}
	if w.flush(100 * time.Millisecond) {
		t.Error("the pipe took everything")
	}
	got := 0
	for buf := make([]byte, 64<<10); got < lines*len(line); {
		n, err := unix.Read(p[0], buf)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		got += n
	}
	w.close(30 * time.Second)
	if full, failed := w.dropped(); full+failed != 0 {
		t.Errorf("%d and %d dropped", full, failed)
	}
}
