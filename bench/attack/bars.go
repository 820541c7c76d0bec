package attack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/attack/honest"
)

// bar adds a bar to the result.
func (r *run) bar(name string, err error, seen string) { r.res.bar(name, err, seen) }

// note adds a note to the result.
func (r *run) note(text string) { r.res.Notes = append(r.res.Notes, text) }

// figures takes over what the honest clients met.
func (r *run) figures() {
	h, res := r.honest, r.res
	b, d, a := h.Figures[honest.Before].Sum(), h.Figures[honest.During].Sum(), h.Figures[honest.After].Sum()
	res.Before, res.During = &b, &d
	if a.Count+a.Errors > 0 {
		res.After = &a
	}
	judged := func(kind int) bool { return true }
	if h.Refusable {
		// Posts wait for the disk that hangs, and so does everything that waits for a
		// post.
		judged = func(kind int) bool {
			return kind != honest.OpPost && kind != honest.OpStream && kind != honest.OpLongPoll
		}
	}
	if quiet := h.Figures[honest.Before].P99(judged); quiet > 0 {
		res.Ratio = float64(h.Figures[honest.During].P99(judged)) / float64(quiet)
	}
	res.Acknowledged = h.Ledger.Count()
}

// bars adds the bars that every drill has.
func (r *run) bars() {
	res := r.res
	if r.died || r.Relay.Ended() && r.v.Final == nil {
		res.bar("no exit", errors.New(r.Relay.State()), "")
	} else {
		res.bar("no exit", nil, "the relay runs on")
	}
	r.memoryBar()
	if r.v.Growth > 0 {
		r.growthBar()
	}
	var n int64
	var first []string
	for _, p := range []int32{honest.Before, honest.During, honest.Between, honest.After} {
		f := r.honest.Figures[p].Sum()
		n += f.Errors
		first = append(first, f.First...)
	}
	var err error
	if n > 0 {
		err = fmt.Errorf("%d, such as\n%s", n, strings.Join(first[:min(len(first), 4)], "\n"))
	}
	if n > 0 && !r.Relay.Ended() {
		r.noteEnds()
	}
	res.bar("no error for honest clients", err, fmt.Sprintf("none in %d requests and deliveries", res.Before.Count+res.During.Count))
	if !r.cfg.Short {
		err = nil
		seen := fmt.Sprintf("%.1f times", res.Ratio)
		if res.Ratio > mostRatio || res.During.Count == 0 {
			err = errors.New(seen)
		}
		res.bar(fmt.Sprintf("p99 at most %d times the quiet one", mostRatio), err, seen)
	}
}

// noteEnds notes what the relay counts as reasons why streams and connections
// ended, which may explain an error.
func (r *run) noteEnds() {
	m, err := books.Metrics(context.Background(), r.Relay.Admin, r.Relay.Token)
	if err != nil {
		return
	}
	var ends []string
	for name, n := range m {
		if n > 0 && (strings.Contains(name, "closed_total") || strings.Contains(name, "rejected") || strings.Contains(name, "refused") || strings.Contains(name, "evicted")) {
			ends = append(ends, fmt.Sprintf("%s %.0f", name, n))
		}
	}
	slices.Sort(ends)
	r.res.Notes = append(r.res.Notes, "the relay counts "+strings.Join(ends, ", "))
}

// memoryBar says whether the process and the kernel's memory for its sockets
// stay within what the relay is given.
func (r *run) memoryBar() {
	p := &r.res.Peak
	sockets, whose := p.Sockets, "all sockets of this machine"
	switch {
	case p.Group != nil && !r.Relay.Group.Second:
		sockets, whose = p.Group.Sockets, "its sockets"
	case r.cfg.AtOnce > 1:
		// The kernel counts those of the other relays too. In a group of version 2 they
		// are within its limit.
		sockets, whose = 0, "sockets not told apart,"
	}
	seen := fmt.Sprintf("process %s and %s %s", books.MiB(p.Resident), whose, books.MiB(sockets))
	var err error
	switch {
	case p.Group != nil && p.Group.Killed > 0:
		err = fmt.Errorf("the kernel ended %d processes for want of memory: %s", p.Group.Killed, seen)
	case p.Resident+sockets > r.cfg.memory():
		err = errors.New(seen)
	}
	r.res.bar(fmt.Sprintf("memory within %d MB", r.cfg.memory()/1_000_000), err, seen)
}

// growthBar says whether the process grew by no more than the attack may cost.
func (r *run) growthBar() {
	n := r.res.Peak.Resident - r.res.AtRest.Resident
	seen := books.MiB(n)
	var err error
	if n > r.v.Growth {
		err = errors.New(seen)
	}
	r.res.bar("the process grows by at most "+books.MiB(r.v.Growth), err, seen)
}

// mostRatio is how many times the p99 before the attack the p99 during it may
// be.
const mostRatio = 3
