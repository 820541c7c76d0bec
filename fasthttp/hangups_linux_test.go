package fasthttp

import (
	"net"
	"sync"
	"testing"
	"time"

	"cowrelay/fasthttp/poll"
	"cowrelay/fasthttp/stream"
)

// deafClient is a client whose leaving is told and not heard: it holds up whoever tells.
type deafClient struct{ told, hear chan struct{} }

func (d deafClient) HungUp() {
	d.told <- struct{}{}
	<-d.hear
}

// deafen keeps all that hang-ups tell from being heard, until hear is called.
func (g *rig) deafen() (hear func()) {
	g.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.Fatal(err)
	}
	defer ln.Close()
	c := dial(g.TB, ln.Addr().String())
	ours, err := ln.Accept()
	if err != nil {
		g.Fatal(err)
	}
	raw, err := ours.(*net.TCPConn).SyscallConn()
	if err != nil {
		g.Fatal(err)
	}
	d, at := deafClient{make(chan struct{}, 1), make(chan struct{})}, new(stream.Watch)
	if !g.relay.streams.Hangups().Watch(d, at, raw, false) {
		g.Fatal("an open connection can't be watched")
	}
	c.Conn.Close()
	<-d.told
	return sync.OnceFunc(func() {
		g.relay.streams.Hangups().Unwatch(at, raw)
		close(d.hear)
		ours.Close()
	})
}

// noPlaces checks that no connection is watched.
func (g *rig) noPlaces() {
	g.Helper()
	g.eventually("no connection is watched", func() bool { return g.relay.streams.Hangups().Watched() == 0 })
}

// A slot with as many long polls as it may have takes a new one as soon as a
// client has left, whether or not the relay has heard of that yet.
func TestHangups_LongPollsMakeRoomAtOnce(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.store.StreamsPerSlot = 8 })
	m := g.allocate()
	var open []*wire
	for range 8 {
		w := g.dial()
		m.longPollOn(w, "?wait=25")
		open = append(open, w)
	}
	g.eventually("the polls wait", func() bool { return m.subscribers() == 8 })
	hear := g.deafen()
	defer hear()
	for _, w := range open[:3] {
		w.Conn.Close()
	}
	time.AfterFunc(50*time.Millisecond, hear)
	for range 3 {
		w := g.dial()
		m.longPollOn(w, "?wait=25")
		open = append(open, w)
	}
	g.eventually("the new polls wait", func() bool {
		return m.subscribers() == 8 && g.relay.polls.Ended(poll.EndClient) == 3
	})
	if r := <-m.longPoll("?wait=25"); r.status != 503 {
		t.Errorf("one long poll too many: %d", r.status)
	}
	for _, w := range open[3:] {
		w.Conn.Close()
	}
	g.nothingWaits()
}

// A slot's streams likewise, over HTTP.
func TestHangups_StreamsMakeRoomAtOnce(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.store.StreamsPerSlot = 16 })
	m := g.allocate()
	hear := g.deafen()
	defer hear()
	var open []*sse
	for range 16 {
		open = append(open, m.stream("", ""))
	}
	for _, s := range open[:5] {
		s.close()
	}
	time.AfterFunc(50*time.Millisecond, hear)
	for range 5 {
		open = append(open, m.stream("", "")) // fails unless it is 200
	}
	if r := m.call("GET", "/v1/events/"+m.id+"/stream", m.token, nil); r.status != 503 {
		t.Errorf("one stream too many: %d", r.status)
	}
	for _, s := range open[5:] {
		s.close()
	}
	g.eventually("no stream stays", func() bool { return g.relay.streams.Len() == 0 })
}

// Without an epoll instance a long poll waits for its time, whether or not its
// client is there.
func TestHangups_LongPollWithoutEpoll(t *testing.T) {
	g := newRig(t)
	g.relay.polls = poll.NewSet(g.relay.streams.Subscribe, new(stream.Hangups))
	g.relay.polls.SetMost(10)
	m := g.allocate()
	if r := (<-m.longPoll("?wait=1")).want(t, 200); r.body != "[]" {
		t.Error(r.body)
	}
	g.nothingWaits()
}
