package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/cgroup"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

// edgeStreamsMost is how many streams edge has where the limits of open files
// allow more.
const edgeStreamsMost = 19_000

// edgeIdleTime is for how long edge-idle listens at most.
const edgeIdleTime = time.Minute

// Edge is a small machine under load: the relay in a control group, with silent
// streams over many slots, and posts to other slots at fixed times. It has no
// bound: what is judged is whether the relay keeps within the group, and how late
// posts get in it.
func Edge(cfg *run.Config) []run.Variant {
	conns := cfg.ConnsOr(64)[0]
	v := edgeVariant(cfg, "edge", fmt.Sprintf("%d posters at %g/s", conns, cfg.EdgeRate))
	v.Unit = "posts"
	v.Drive = func(ctx context.Context, e *run.Env, relay, _ *load.Server) ([]report.Result, error) {
		return driveEdge(ctx, e, relay, report.TailP99, e.Config.Warmup+e.Config.Duration, (*edgeLoad).post)
	}
	return []run.Variant{v}
}

// EdgeIdle is the same without posts.
func EdgeIdle(cfg *run.Config) []run.Variant {
	v := edgeVariant(cfg, "edge-idle", "no posts")
	v.Unit = "stream-seconds"
	v.Drive = func(ctx context.Context, e *run.Env, relay, _ *load.Server) ([]report.Result, error) {
		d := min(idleTime(e.Config), max(edgeIdleTime, e.Config.Heartbeat*5/2))
		return driveEdge(ctx, e, relay, report.MemoryEach, e.Config.IdleSettle+e.Config.Warmup+d, func(l *edgeLoad, ctx context.Context, out *load.Sample) error {
			return l.listen(ctx, d, out)
		})
	}
	return []run.Variant{v}
}

func edgeVariant(cfg *run.Config, name, text string) run.Variant {
	streams := "streams"
	if cfg.EdgeStreams > 0 {
		streams = load.Thousands(float64(cfg.EdgeStreams)) + " streams"
	}
	return run.Variant{
		Scenario: name, GroupMemory: cfg.EdgeMemory,
		Text:  fmt.Sprintf("%s, %s over %s slots, %d MB and one core", text, streams, load.Thousands(float64(cfg.EdgeSlots)), cfg.EdgeMemory/1_000_000),
		Files: cfg.EdgeStreams + cfg.ConnsOr(64)[0],
		Bound: bound.Config{EventBytes: cfg.EventBytesOr(512)},
	}
}

// An edgeLoad is the streams of edge, and the slots that have none.
type edgeLoad struct {
	idleLoad
	silent []load.Slot // one for each poster
}

// driveEdge makes the slots, opens the streams, and runs one round with them.
func driveEdge(ctx context.Context, e *run.Env, s *load.Server, m report.Metric, each time.Duration, round func(*edgeLoad, context.Context, *load.Sample) error) ([]report.Result, error) {
	streams, err := edgeStreams(ctx, e, s)
	if err != nil {
		return nil, err
	}
	if err := proc.CheckFiles(s.PID, streams); err != nil {
		return nil, err
	}
	e.Track.Step("making slots")
	slots, err := s.AllocateN(ctx, e.Config.EdgeSlots)
	if err != nil {
		return nil, err
	}
	l := &edgeLoad{idleLoad: idleLoad{e: e, s: s, hist: load.NewHistogram(), streams: make([]*load.QuietStream, streams)}}
	defer l.close()
	conns := e.Config.ConnsOr(64)[0]
	slots, l.silent = slots[conns:], slots[:conns]
	out := load.Sample{}
	before, err := proc.Memory(s.PID)
	if err != nil {
		return nil, err
	}
	e.Track.Step("opening streams")
	if err := l.open(ctx, slots); err != nil {
		return nil, err
	}
	e.Track.Begin(each)
	if m.Name == report.MemoryEach.Name {
		e.Track.Step("waiting beside the streams")
		if err := e.Wait(ctx, e.Config.IdleSettle); err != nil {
			return nil, err
		}
	}
	after, err := proc.Memory(s.PID)
	if err != nil {
		return nil, err
	}
	out.Memory = &load.Memory{Before: before, After: after, Streams: streams, Each: float64(after-before) / float64(streams), Whole: float64(after) / float64(streams)}
	e.Track.Step("measuring")
	cpu, err := proc.ReadUsage(s.PID)
	if err != nil {
		return nil, err
	}
	w := cgroup.StartWatch(ctx, e.Group)
	err = round(l, ctx, &out)
	end, usageErr := proc.ReadUsage(s.PID)
	out.Group = w.End(end.At.Sub(cpu.At), end.Server-cpu.Server)
	if err := errors.Join(err, usageErr); err != nil {
		return nil, err
	}
	if n := out.Group.Killed; n > 0 {
		out.Errors += n
		out.FirstError = fmt.Sprintf("the kernel ended %d processes for want of memory", n)
	}
	r := report.Compare(e.Variant.Subject(), []load.Sample{out}, nil, m)
	r.Notes = append(r.Notes, fmt.Sprintf("%s streams in %s", load.Thousands(float64(streams)), e.Group))
	return []report.Result{r}, nil
}

// edgeStreams is how many streams there are to be: without a number of the
// user's, as many as this process may open, and as the relay takes beside the
// posters.
func edgeStreams(ctx context.Context, e *run.Env, s *load.Server) (int, error) {
	if n := e.Config.EdgeStreams; n > 0 {
		return n, nil
	}
	own, err := proc.Connections()
	if err != nil {
		return 0, err
	}
	takes, err := s.Metric(ctx, "cowrelay_http_connections_max")
	if err != nil {
		return 0, err
	}
	conns := max(load.FillConns, e.Config.ConnsOr(64)[0]) // not at once with the streams, but a close takes a moment
	n := min(own, takes) - conns
	if n < 1 {
		return 0, fmt.Errorf("no room for streams: this process may open %d connections, the relay takes %d, and %d are for posts: raise the limit of open files", own, takes, conns)
	}
	return min(n, edgeStreamsMost), nil
}

// post posts at the fixed rate while the streams listen.
func (l *edgeLoad) post(ctx context.Context, out *load.Sample) error {
	e := l.e
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ps := make([]*load.Poster, len(l.silent))
	for i, sl := range l.silent {
		ps[i] = load.NewPoster(e.Template, l.s, sl, uint64(i)*load.NumbersPerPoster)
	}
	posts, err := e.StartPosts(ctx, ps, e.Config.EdgeRate, e.Config.Duration)
	var a, b proc.Usage
	if err == nil {
		a, b, err = e.Measure(ctx, l.s, e.Config.Duration, &l.phase)
	}
	if err != nil {
		cancel()
	}
	posts.End()
	if err != nil {
		return err
	}
	posts.Into(out)
	if d := b.At.Sub(a.At); d >= 5*e.Config.Heartbeat/2 {
		l.checkHeard(d, out)
	}
	out.Account(a, b)
	l.log.Into(out)
	return ctx.Err()
}
