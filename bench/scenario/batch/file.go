package batch

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/run"
)

// fileBatch is how many events each request has that the bound of post-file gets: as
// many as the command sends.
const fileBatch = 1000

// Files has the command `cowrelay post --file` store the lines of a file, in their
// order, over one connection. Then all lines are read back and compared. The
// bound gets the same events from one connection of the generator, without a
// command that starts and reads a file.
func Files(cfg *run.Config) []run.Variant {
	size := cfg.EventBytesOr(eventBytes)
	each := run.BatchOf(fileBatch, size)
	lines := max(1, min(cfg.FileLines, load.SlotEvents(size))/each) * each
	return []run.Variant{{
		Scenario: "post-file",
		Text:     fmt.Sprintf("cowrelay post --file, %s lines of %d B", load.Thousands(float64(lines)), size),
		Unit:     "events", Files: load.FillConns, RunsCommands: true,
		Bound: bound.Config{Mode: bound.Batch, EventBytes: size},
		Open: func(_ context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
			r := fileRunner{e: e, s: s, lines: lines, each: each}
			if s.Bound() {
				return &boundFile{r}, nil
			}
			r.name = filepath.Join(e.Dir, "events.jsonl")
			return &r, r.write()
		},
	}}
}

// A fileRunner posts the lines of a file to a new slot in each round.
type fileRunner struct {
	e     *run.Env
	s     *load.Server
	lines int
	each  int    // lines of a request to the bound
	name  string // of the file
}

// write makes the file: events 0 and up, in order.
func (r *fileRunner) write() error {
	b := make([]byte, 0, r.lines*(r.e.Template.Size()+1))
	for n := range r.lines {
		b = append(r.e.Template.AppendEvent(b, uint64(n)), '\n')
	}
	return os.WriteFile(r.name, b, 0o600)
}

// postLimit is how long the command may take.
const postLimit = 10 * time.Minute

// Round counts from the start of the command to its end.
func (r *fileRunner) Round(ctx context.Context) (load.Sample, error) {
	slots, err := r.s.AllocateN(ctx, 1)
	if err != nil {
		return load.Sample{}, err
	}
	var log load.ErrorLog
	a, err := proc.ReadUsage(r.s.PID)
	if err != nil {
		return load.Sample{}, err
	}
	profiled := r.e.TakeProfiles(ctx, r.s, r.e.Duration)
	used, failed := r.post(ctx, slots[0])
	b, err := proc.ReadUsage(r.s.PID)
	if err = firstOf(ctx.Err(), profiled(), err); err != nil {
		return load.Sample{}, err
	}
	b.Generator += used
	out := load.Timed(b.At.Sub(a.At))
	if failed == nil {
		failed = r.check(ctx, slots[0])
	}
	if failed != nil {
		log.Add(failed)
	} else {
		out.Ops = int64(r.lines)
	}
	out.Account(a, b)
	size := r.e.Template.Size()
	out.Batches = &load.Batches{EventBytes: size, BytesPerSec: out.PerSec * float64(size)}
	log.Into(&out)
	r.e.Track.Add(r.e.Warmup + r.e.Duration) // what the run takes a round for
	return out, ctx.Err()
}

// post runs the command and returns the CPU time that it used.
func (r *fileRunner) post(ctx context.Context, sl load.Slot) (used time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, postLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.e.Config.Relay, "post", "--file", r.name)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "COWRELAY_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "COWRELAY_RELAY=http://"+r.s.Addr+r.s.Prefix, "COWRELAY_SLOT="+sl.ID, "COWRELAY_TOKEN="+sl.Token)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("cowrelay post: %w: %.300s", err, bytes.TrimSpace(out))
	}
	if st := cmd.ProcessState; st != nil {
		used = st.UserTime() + st.SystemTime()
	}
	return used, err
}

// check reads the slot back. It must hold the lines of the file, in their order.
func (r *fileRunner) check(ctx context.Context, sl load.Slot) error {
	m, err := r.e.ReadBack(ctx, r.s, sl, r.lines, min(r.e.Config.Page, 1000))
	if err != nil {
		return fmt.Errorf("cannot read the lines back: %w", err)
	}
	for i, n := range m.Order {
		if n != uint64(i) {
			return fmt.Errorf("line %d is at position %d", n, i)
		}
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A boundFile has one connection post the same events to the bound.
type boundFile struct{ fileRunner }

func (r *boundFile) Round(ctx context.Context) (load.Sample, error) {
	out, err := r.e.RunNumbers(ctx, r.s, 1, 0, r.lines/r.each, func() load.Numbered {
		return &fileBatches{load.NewBatchPoster(r.e.Template, r.s, r.each, 0)}
	}, func(float64) {})
	if err != nil {
		return out, err
	}
	out.CountEvents(r.each, r.e.Template.Size())
	// As on the other side, the latency is that of the whole.
	out.Hist = load.NewHistogram()
	out.Hist.Record(time.Duration(out.Seconds * float64(time.Second)))
	out.Latency = out.Hist.Latency()
	r.e.Track.Add(r.e.Warmup + r.e.Duration)
	return out, nil
}

// fileBatches posts the batches whose numbers it is given.
type fileBatches struct{ *load.BatchPoster }

func (p *fileBatches) Do(ctx context.Context, n int) error {
	p.Next = uint64(n) * uint64(p.Events())
	return p.BatchPoster.Do(ctx)
}
