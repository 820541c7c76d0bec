package pullers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

// loaded returns pullers of a slot of the tests' relay: what they are told,
// what they say, and how they end.
func loaded(t *testing.T, fault string, change func(*Task)) (orders *json.Encoder, reports *json.Decoder, done chan error) {
	t.Helper()
	relay, dir := self(t), t.TempDir()
	s, err := load.StartRelay(t.Context(), nil, relay, []string{"--fault", fault}, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	const size, count = 300, 50
	nonce := strings.Repeat("ab", 24)
	tmpl, err := wire.NewTemplate(size, nonce)
	if err != nil {
		t.Fatal(err)
	}
	e := &load.Session{Template: tmpl}
	sl, err := e.NewSlot(t.Context(), s, count)
	if err != nil {
		t.Fatal(err)
	}
	task := Task{Addr: s.Addr, Side: s.Name, Slot: sl.ID, Token: sl.Token, Nonce: nonce, EventBytes: size, Count: count, Page: 10, Pullers: 3}
	change(&task)
	in, toLoader := io.Pipe()
	fromLoader, out := io.Pipe()
	done = make(chan error, 1)
	go func() {
		err := serve(t.Context(), in, out)
		out.CloseWithError(io.EOF)
		in.Close()
		done <- err
	}()
	t.Cleanup(func() {
		toLoader.Close()
		fromLoader.Close()
	})
	orders, reports = json.NewEncoder(toLoader), json.NewDecoder(fromLoader)
	if err := orders.Encode(task); err != nil {
		t.Fatal(err)
	}
	return orders, reports, done
}

func TestLoader(t *testing.T) {
	orders, reports, _ := loaded(t, "", func(*Task) {})
	do := func(o any) (r Report) {
		t.Helper()
		if o != nil {
			if err := orders.Encode(o); err != nil {
				t.Fatal(err)
			}
		}
		if err := reports.Decode(&r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := do(nil); r.Pulls != 0 || r.Errors != 0 {
		t.Errorf("before the start: %+v", r)
	}
	do(Order{Do: "start"})
	var r Report
	for end := time.Now().Add(time.Minute); r.Pulls < 20 && time.Now().Before(end); {
		r = do(Order{Do: "report"})
	}
	stopped := do(Order{Do: "stop"})
	if r.Pulls < 20 || stopped.Pulls < r.Pulls || stopped.Errors != 0 || stopped.CPUMicros <= 0 {
		t.Errorf("never resting: %+v, then %+v", r, stopped)
	}
	if r := do(Order{Do: "report"}); r.Pulls != stopped.Pulls {
		t.Errorf("%d pulls after the stop", r.Pulls-stopped.Pulls)
	}
	// A start counts from nothing, and a slow rate is kept.
	do(Order{Do: "start", Rate: 20})
	time.Sleep(300 * time.Millisecond)
	if r := do(Order{Do: "stop"}); r.Pulls < 1 || r.Pulls > 12 || r.Errors != 0 {
		t.Errorf("20 pulls a second for 0.3 s: %+v", r)
	}
}

// With Batch the process posts batches to slots of its own. A batch of which a part
// is missing is an error.
func TestLoader_batches(t *testing.T) {
	for _, fault := range []string{"", "batch"} {
		orders, reports, _ := loaded(t, fault, func(task *Task) { task.Batch, task.Slot, task.Token = 10, "", "" })
		var r Report
		if err := reports.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if err := orders.Encode(Order{Do: "start"}); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); r.Pulls < 20 && r.Errors == 0 && time.Now().Before(end); {
			if err := reports.Decode(&r); err != nil {
				t.Fatal(err)
			}
			if err := orders.Encode(Order{Do: "report"}); err != nil {
				t.Fatal(err)
			}
		}
		if noticed := strings.Contains(r.FirstError, "a batch of 10 events was answered by"); noticed != (fault == "batch") || fault == "" && r.Pulls < 20 {
			t.Errorf("fault %q: %+v", fault, r)
		}
	}
}

func TestLoader_noticesFaults(t *testing.T) {
	// A slot that does not hold what was posted ends it.
	_, reports, done := loaded(t, "", func(task *Task) { task.Nonce = strings.Repeat("cd", 24) })
	var r Report
	if err := reports.Decode(&r); err == nil {
		t.Errorf("a slot with other events was reported ready")
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "not the bytes that were posted") {
		t.Errorf("error %v", err)
	}
	// Windows that come back wrong are counted.
	orders, reports, _ := loaded(t, "late-bytes", func(*Task) {})
	if err := reports.Decode(&r); err != nil {
		t.Fatal(err)
	}
	for _, do := range []string{"start", "report", "stop"} {
		if err := orders.Encode(Order{Do: do}); err != nil {
			t.Fatal(err)
		}
		if do == "report" {
			time.Sleep(50 * time.Millisecond)
		}
		if err := reports.Decode(&r); err != nil {
			t.Fatal(err)
		}
	}
	if r.Errors == 0 || !strings.Contains(r.FirstError, "wrong bytes") {
		t.Errorf("wrong windows were not noticed: %+v", r)
	}
}

func TestLoader_nice(t *testing.T) {
	relay, dir := self(t), t.TempDir()
	s, err := load.StartRelay(t.Context(), nil, relay, nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	sl, err := s.AllocateN(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), []string{relay, Command}, dir, Task{
		Addr: s.Addr, Side: s.Name, Slot: sl[0].ID, Token: sl[0].Token, Nonce: strings.Repeat("ab", 24), EventBytes: 300, Page: 10, Pullers: 1, Nice: 7,
	})
	if err != nil {
		t.Fatal(err)
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", l.proc.PID()))
	if len(threads) < 2 {
		t.Errorf("threads %q", threads)
	}
	for _, name := range threads {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// Field 19, counted from behind the command, which is field 2.
		if f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]); string(f[16]) != "7" {
			t.Errorf("a thread of nice %s, want 7", f[16])
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartLoader_taskThatFails(t *testing.T) {
	loader, dir := []string{self(t), Command}, t.TempDir()
	_, err := Start(t.Context(), loader, dir, Task{Addr: "127.0.0.1:1", Side: "relay", Nonce: strings.Repeat("ab", 24), EventBytes: 300, Count: 1, Page: 1})
	if err == nil || !strings.Contains(err.Error(), "no report from the pullers") || !strings.Contains(err.Error(), "cannot connect") {
		t.Errorf("error %v", err)
	}
	if _, err := Start(t.Context(), nil, dir, Task{}); err == nil || !strings.Contains(err.Error(), "no loader is configured") {
		t.Errorf("error %v", err)
	}
}
