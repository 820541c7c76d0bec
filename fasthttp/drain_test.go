package fasthttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
)

// loadGate is a journal whose loads wait while it is shut. If diskHangs is set,
// so do questions for the disk's free space.
type loadGate struct {
	cow.Journal
	diskHangs atomic.Bool
	mu        sync.Mutex
	opened    chan struct{} // nil while open
	held      int
}

func (l *loadGate) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	l.pass()
	return l.Journal.Load(slot, from, yield)
}

func (l *loadGate) free() (uint64, error) {
	if l.diskHangs.Load() {
		l.pass()
	}
	return 1 << 40, nil
}

func (l *loadGate) pass() {
	l.mu.Lock()
	opened := l.opened
	if opened != nil {
		l.held++
	}
	l.mu.Unlock()
	if opened != nil {
		<-opened
	}
}

func (l *loadGate) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened, l.held = make(chan struct{}), 0
}

func (l *loadGate) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened != nil {
		close(l.opened)
		l.opened = nil
	}
}

func (l *loadGate) waits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held > 0
}

// Whatever hangs, a drain is over soon after its time: a stream or a request
// that waits for the store, clients that read nothing of a stream or a page, a
// record that is not written.
func TestDrain_WhateverHangs(t *testing.T) {
	pad := strings.Repeat("x", 200_000)
	const events = 40
	for _, row := range []struct {
		what    string
		budget  int64 // of memory, or 0
		opening int64 // streams that have no connection yet
		hang    func(t *testing.T, m mailbox, gate *loadGate)
	}{
		{"a stream in a load", 6 << 20, 0, func(t *testing.T, m mailbox, gate *loadGate) {
			m.pull("?since=s38") // the slot is hot then, and its oldest chunks are not in memory
			gate.shut()
			m.stream("?since=unknown", "")
			m.eventually("the stream waits for the store", gate.waits)
		}},
		{"a stream's opening in a load", 0, 1, func(t *testing.T, m mailbox, gate *loadGate) {
			gate.shut()
			w := m.dial()
			w.send("GET /v1/events/" + m.id + "/stream?since=s0 HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
			m.eventually("the request waits for the store", gate.waits)
		}},
		{"a long poll in a load", 0, 0, func(t *testing.T, m mailbox, gate *loadGate) {
			gate.shut()
			m.longPoll("?since=s0&wait=25")
			m.eventually("the poll waits for the store", gate.waits)
		}},
		{"a stream that nobody reads", 0, 0, func(t *testing.T, m mailbox, gate *loadGate) {
			w := m.dial()
			w.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			w.send("GET /v1/events/" + m.id + "/stream?since=s0 HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
			m.eventually("the stream stalls", func() bool { return m.relay.streams.Stalled() == 1 })
			gate.shut()
		}},
		{"a page that nobody reads", 0, 0, func(t *testing.T, m mailbox, gate *loadGate) {
			w := m.dial()
			w.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			for range 8 { // 32 MB, more than any sockets hold
				w.send("GET /v1/events/" + m.id + "?limit=1000 HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
			}
			m.eventually("the first page is under way", func() bool { return m.store.Stats().SlotLoads.Load() > 0 })
			gate.shut()
		}},
		{"the statistics' history", 0, 0, func(t *testing.T, m mailbox, gate *loadGate) {
			gate.shut()
			gate.diskHangs.Store(true)
			m.eventually("a row is being written", gate.waits)
		}},
	} {
		t.Run(row.what, func(t *testing.T) {
			t.Parallel()
			gate := new(loadGate)
			g := newRig(t, func(o *rigOptions) {
				o.store.MemoryBudget = row.budget
				o.relay.StreamSendBuffer = 8 << 10
				o.relay.StreamWriteTimeout = time.Minute
				o.relay.SampleEvery = time.Second
				o.store.Free = gate.free
				o.journal = func(j cow.Journal) cow.Journal {
					gate.Journal = j
					return gate
				}
			})
			t.Cleanup(gate.open) // before the rig is closed
			m := g.allocate()
			for i := range events {
				m.post(fmt.Sprintf(`{"event_id":"s%d","pad":"%s"}`, i, pad)).want(t, 201)
			}
			g.restart()
			row.hang(t, m, gate)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			done := make(chan error, 1)
			start := time.Now()
			go func() { done <- g.relay.Drain(ctx, 0) }()
			select {
			case err := <-done:
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("drain: %v", err)
				}
				t.Logf("took %v: %v", time.Since(start), err)
			case <-time.After(time.Minute):
				t.Fatal("the drain does not end")
			}
			if n := g.relay.streams.Len(); n > row.opening {
				t.Errorf("%d streams are left", n)
			}
		})
	}
}
