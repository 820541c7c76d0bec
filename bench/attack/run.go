package attack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"cowrelay/bench/report"
)

// A run is one variant of a drill under way.
type run struct {
	cfg    *Config
	v      *variant
	relay  *relay
	honest *honest
	res    *Result
	// victims are the slots that attackers use.
	victims []slot
	lasted  time.Duration                    // since the start of the attack, when it ends
	died    bool                             // the relay ended under attack
	step    func(format string, args ...any) // shows progress
}

// Run runs the named drills, or all without names, and gives each result to
// emit. It returns an error when a drill could not be run; bars that do not hold
// stand in the results. When it returns, every process that it started is gone.
func Run(ctx context.Context, cfg Config, names []string, emit func(Result)) error {
	if err := errors.Join(cfg.Validate(), CheckNames(names)); err != nil {
		return err
	}
	if err := raiseFiles(); err != nil {
		return err
	}
	machine := report.ReadMachine(cfg.Commit, cfg.Dir)
	type job struct {
		name string
		v    variant
	}
	var jobs []job
	for _, d := range drills {
		if len(names) > 0 && !slices.Contains(names, d.name) {
			continue
		}
		for _, v := range d.variants(&cfg) {
			jobs = append(jobs, job{d.name, v})
		}
	}
	var mu sync.Mutex
	done := 0
	var all []func() error
	for _, j := range jobs {
		all = append(all, func() error {
			r := &run{cfg: &cfg, v: &j.v, step: func(format string, args ...any) {
				mu.Lock()
				defer mu.Unlock()
				if cfg.Progress == nil {
					return
				}
				cfg.Progress.Show("attack "+j.name, float64(done)/float64(len(jobs)), fmt.Sprintf(format, args...))
			}}
			r.res = &Result{Drill: j.name, Variant: j.v.name, Short: cfg.Short, Kills: cfg.Kills, Machine: machine}
			err := r.all(ctx)
			mu.Lock()
			defer mu.Unlock()
			done++
			if cfg.Progress != nil {
				cfg.Progress.Clear()
			}
			if err != nil {
				return fmt.Errorf("%s (%s): %w", j.name, j.v.name, err)
			}
			emit(*r.res)
			return nil
		})
	}
	return parallel(ctx, cfg.AtOnce, all)
}

// raiseFiles raises the limit of open files of this process as far as it may:
// attackers need many.
func raiseFiles() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("cannot raise the limit of open files to %d: %w", l.Max, err)
	}
	return nil
}

// all runs the variant from an empty folder to the end.
func (r *run) all(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(r.cfg.Dir, "relaybench-attack-")
	if err != nil {
		return fmt.Errorf("cannot make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var g *group
	if r.cfg.NoGroup {
		r.res.Limits = "GOMEMLIMIT=" + plainLimit(r.cfg.memory())
	} else if g, err = newGroup(r.cfg.memory()); err != nil {
		r.res.Limits = "GOMEMLIMIT=" + plainLimit(r.cfg.memory())
		r.res.Notes = append(r.res.Notes, err.Error())
	} else {
		r.res.Limits = g.String()
	}
	defer func() { err = errors.Join(err, g.remove()) }()
	if r.relay, err = newRelay(r.cfg.Relay, dir, r.v.relay, g); err != nil {
		return err
	}
	r.relay.plain = plainLimit(r.cfg.memory())
	if r.v.disk > 0 {
		unmount, err := r.relay.mountDisk(r.v.disk)
		if err != nil {
			r.res.Skipped = err.Error()
			return nil
		}
		defer func() { err = errors.Join(err, unmount()) }()
	}
	defer r.relay.kill() // nothing if it has ended in order
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if r.cfg.Kills > 0 {
		return r.kills(ctx)
	}
	return r.measure(ctx)
}

// prepare fills the relay and starts it anew, so that slots are cold. The fill
// is not under the variant's limits.
func (r *run) prepare(ctx context.Context) error {
	r.step("filling the store")
	final := r.relay.args
	r.relay.args = relayArgs{}
	if err := r.relay.start(ctx); err != nil {
		return err
	}
	r.honest = newHonest(r.relay, r.v.light)
	r.honest.refusable = r.v.disk > 0
	cold := r.v.cold
	if cold == 0 {
		cold = r.cfg.size(coldSlots, 30)
	}
	if err := r.honest.fill(ctx, cold); err != nil {
		return err
	}
	if r.v.fill != nil {
		if err := r.v.fill(ctx, r); err != nil {
			return err
		}
	}
	if _, err := r.relay.stop(stopTimeout); err != nil {
		return err
	}
	r.relay.args = final
	return r.relay.start(ctx)
}

// measure runs the phases, and the recovery.
func (r *run) measure(ctx context.Context) (err error) {
	r.step("reading the relay at rest")
	rest, err := ReadBooks(ctx, r.relay.admin, r.relay.token)
	if err != nil {
		return err
	}
	if r.res.AtRest, err = r.relay.held(ctx); err != nil {
		return err
	}
	h := r.honest
	h.run(ctx)
	stopped := sync.OnceFunc(h.end)
	defer stopped()
	r.step("warming up")
	if !pause(ctx, r.cfg.Before/5) {
		return ctx.Err()
	}
	r.step("before the attack")
	h.phase.Store(before)
	if !pause(ctx, r.cfg.Before) {
		return ctx.Err()
	}
	h.phase.Store(during)
	w := startWatch(ctx, r.relay)
	began := time.Now()
	attack := r.attack(ctx)
	attacked := r.underAttack(ctx, attack)
	r.lasted, r.died = time.Since(began), r.relay.ended()
	if r.v.during != nil && attacked == nil && !r.died {
		r.v.during(ctx, r)
	}
	if r.v.final != nil && attacked == nil && !r.died {
		// What is under way still counts in its phase.
		h.phase.Store(between)
		r.await(ctx, opTimeout+5*time.Second, h.quiet)
		h.phase.Store(ending)
		r.v.final(ctx, r)
		stopped()
		err = attack.end()
		r.res.Peak = w.end()
		r.figures()
		r.bars()
		return errors.Join(err, r.stillThere(ctx), ctx.Err())
	}
	h.phase.Store(between)
	err = attack.end()
	if r.v.gone != nil && !r.relay.ended() {
		r.v.gone(ctx, r)
	}
	r.res.Peak = w.end()
	if err = errors.Join(attacked, err, ctx.Err()); err != nil {
		return err
	}
	r.step("after the attack")
	if !r.relay.ended() && pause(ctx, r.cfg.After/2) {
		h.phase.Store(after)
		pause(ctx, r.cfg.After)
		h.phase.Store(between)
		// What is under way still counts in its phase.
		r.await(ctx, opTimeout+5*time.Second, h.quiet)
	}
	stopped()
	r.figures()
	r.bars()
	if r.relay.ended() {
		return ctx.Err()
	}
	return r.recovered(ctx, rest)
}

// An assault is an attack that runs.
type assault struct {
	cancel context.CancelFunc
	armed  chan struct{}
	done   chan struct{}
	err    error // read after done
}

func (r *run) attack(ctx context.Context) *assault {
	ctx, cancel := context.WithCancel(ctx)
	a := &assault{cancel: cancel, armed: make(chan struct{}), done: make(chan struct{})}
	// Ends with end, which waits for it.
	go func() {
		defer close(a.done)
		once := sync.OnceFunc(func() { close(a.armed) })
		a.err = r.v.attack(ctx, r, once)
		once()
	}()
	return a
}

func (a *assault) end() error {
	a.cancel()
	<-a.done
	return a.err
}

// underAttack waits until the attack is armed and has lasted.
func (r *run) underAttack(ctx context.Context, a *assault) error {
	r.step("the attack comes")
	select {
	case <-a.armed:
	case <-r.relay.done:
		return nil
	case <-time.After(armTime):
		return fmt.Errorf("the attack was not at its full size after %v", armTime)
	case <-ctx.Done():
		return ctx.Err()
	}
	r.step("under attack")
	select {
	case <-time.After(max(r.cfg.During, r.v.atLeast)):
	case <-r.relay.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// await asks until it is true, at most for limit.
func (r *run) await(ctx context.Context, limit time.Duration, ask func() bool) bool {
	end := time.Now().Add(limit)
	for !ask() {
		if time.Now().After(end) || !pause(ctx, 100*time.Millisecond) {
			return false
		}
	}
	return true
}

// figures takes what the honest clients met.
func (r *run) figures() {
	h, res := r.honest, r.res
	b, d, a := h.figures[before].sum(), h.figures[during].sum(), h.figures[after].sum()
	res.Before, res.During = &b, &d
	if a.Count+a.Errors > 0 {
		res.After = &a
	}
	judged := func(kind int) bool { return true }
	if h.refusable {
		// A post waits for its disk, and those who wait for the post with it.
		judged = func(kind int) bool { return kind != opPost && kind != opStream && kind != opLongPoll }
	}
	if quiet := h.figures[before].p99(judged); quiet > 0 {
		res.Ratio = float64(h.figures[during].p99(judged)) / float64(quiet)
	}
	res.Acknowledged = h.ledger.count()
}

// bars adds those that every drill has.
func (r *run) bars() {
	res := r.res
	if r.died || r.relay.ended() && r.v.final == nil {
		res.bar("no exit", errors.New(r.relay.state()), "")
	} else {
		res.bar("no exit", nil, "the relay runs on")
	}
	r.memoryBar()
	if r.v.growth > 0 {
		r.growthBar()
	}
	var n int64
	var first []string
	for _, p := range []int32{before, during, between, after} {
		f := r.honest.figures[p].sum()
		n += f.Errors
		first = append(first, f.First...)
	}
	var err error
	if n > 0 {
		err = fmt.Errorf("%d, such as\n%s", n, strings.Join(first[:min(len(first), 4)], "\n"))
	}
	if n > 0 && !r.relay.ended() {
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

// noteEnds notes what the relay says why streams and connections ended: that
// explains an error.
func (r *run) noteEnds() {
	m, err := readMetrics(context.Background(), r.relay.admin, r.relay.token)
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

// memoryBar: the process and the kernel's memory for its sockets stay within
// what the machine is said to have.
func (r *run) memoryBar() {
	p := &r.res.Peak
	sockets, whose := p.Sockets, "all sockets of this machine"
	switch {
	case p.Group != nil && !r.relay.group.second:
		sockets, whose = p.Group.Sockets, "its sockets"
	case r.cfg.AtOnce > 1:
		// They are those of other relays too. A group of version 2 has them in
		// its limit.
		sockets, whose = 0, "sockets not told apart,"
	}
	seen := fmt.Sprintf("process %s and %s %s", mib(p.Resident), whose, mib(sockets))
	var err error
	switch {
	case p.Group != nil && p.Group.Killed > 0:
		err = fmt.Errorf("the kernel ended %d processes for want of memory: %s", p.Group.Killed, seen)
	case p.Resident+sockets > r.cfg.memory():
		err = errors.New(seen)
	}
	r.res.bar(fmt.Sprintf("memory within %d MB", r.cfg.memory()/1_000_000), err, seen)
}

// growthBar holds what the process grew by against what the attack may cost.
func (r *run) growthBar() {
	n := r.res.Peak.Resident - r.res.AtRest.Resident
	seen := mib(n)
	var err error
	if n > r.v.growth {
		err = errors.New(seen)
	}
	r.res.bar("the process grows by at most "+mib(r.v.growth), err, seen)
}

// mostRatio is how many times the quiet p99 the p99 under attack may be.
const mostRatio = 3
