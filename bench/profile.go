package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/pprof/profile"
)

// profileArgs turn on what a relay does not sample by itself: every contended
// lock, and waits of 10 µs and more, shorter ones by chance. Sampling each wait
// would show up in the CPU profile. They stand before Config.RelayArgs, which
// can say otherwise.
var profileArgs = []string{"--mutex-profile-fraction", "1", "--block-profile-rate", "10000"}

// ProfileFiles are the profiles that a run with Config.Profile leaves, each as
// NAME.pprof. The first four cover the measured time of the relay's rounds and
// nothing else, all rounds merged; heap and goroutine are from the middle of
// the last round.
var ProfileFiles = []string{"cpu", "allocs", "mutex", "block", "heap", "goroutine"}

// profiledSpans are those that cover a time, with the path that gives them.
// The relay takes the others' state at both ends of the time itself, and
// answers with the difference.
var profiledSpans = map[string]string{"cpu": "profile", "allocs": "allocs", "mutex": "mutex", "block": "block"}

// A profiler takes profiles of the relay from its admin listener while rounds
// are measured. A nil one takes none.
type profiler struct {
	dir      string
	duration time.Duration

	mu    sync.Mutex
	spans map[string][][]byte // a profile for each round
	last  map[string][]byte
}

// newProfiler returns a profiler for a run of loads, which must be one: the sum
// of the profiles of several would say nothing of any.
func newProfiler(cfg *Config, loads []scenario) (*profiler, error) {
	if len(loads) != 1 {
		var names []string
		for _, sc := range loads {
			names = append(names, fmt.Sprintf("%s (%s)", sc.name, sc.variant))
		}
		return nil, fmt.Errorf("a profile is of one load, and these are %d: %s", len(loads), strings.Join(names, "; "))
	}
	if err := os.MkdirAll(cfg.Profile, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the profiles: %w", err)
	}
	return &profiler{dir: cfg.Profile, duration: cfg.Duration, spans: map[string][][]byte{}, last: map[string][]byte{}}, nil
}

// relayArgs are the arguments of a relay with those that profiles need.
func (p *profiler) relayArgs(args []string) []string {
	if p == nil {
		return args
	}
	return slices.Concat(profileArgs, args)
}

// begin starts to take profiles of s for the measured time d, which begins
// now. The result waits for them, and is called when that time is over and the
// load is still on. Sides that are not profiled, and probes that are shorter
// than a round, pass through.
func (p *profiler) begin(ctx context.Context, s *side, d time.Duration) (end func() error) {
	if p == nil || s.admin == "" || d < p.duration {
		return func() error { return nil }
	}
	// The relay counts in whole seconds.
	seconds := int(d.Seconds())
	ctx, cancel := context.WithTimeout(ctx, d+30*time.Second)
	var wg sync.WaitGroup
	var log profileErrors
	for name, path := range profiledSpans {
		wg.Go(func() {
			b, err := fetchProfile(ctx, s.admin, fmt.Sprintf("%s?seconds=%d", path, seconds))
			if log.add(name, err) {
				return
			}
			p.mu.Lock()
			p.spans[name] = append(p.spans[name], b)
			p.mu.Unlock()
		})
	}
	wg.Go(func() {
		select {
		case <-time.After(d / 2):
		case <-ctx.Done():
			return
		}
		for _, name := range []string{"heap", "goroutine"} {
			b, err := fetchProfile(ctx, s.admin, name)
			if log.add(name, err) {
				return
			}
			p.mu.Lock()
			p.last[name] = b
			p.mu.Unlock()
		}
	})
	return func() error {
		wg.Wait()
		cancel()
		return log.joined()
	}
}

// profileErrors are what went wrong while profiles were taken.
type profileErrors struct {
	mu   sync.Mutex
	errs []error
}

func (l *profileErrors) add(name string, err error) bool {
	if err == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, fmt.Errorf("cannot take the %s profile: %w", name, err))
	return true
}

func (l *profileErrors) joined() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}

// profileClient keeps no connection: none of it may idle in the next round.
var profileClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func fetchProfile(ctx context.Context, admin, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+admin+"/debug/pprof/"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := profileClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.200s", res.StatusCode, b)
	}
	return b, err
}

// finish writes the profiles to their folder.
func (p *profiler) finish() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spans["cpu"]) == 0 {
		return errors.New("nothing was profiled: this load has no measured rounds")
	}
	for _, name := range ProfileFiles {
		file := filepath.Join(p.dir, name+".pprof")
		parts := p.spans[name]
		if profiledSpans[name] == "" {
			parts = [][]byte{p.last[name]}
		}
		if err := mergeProfiles(file, parts); err != nil {
			return fmt.Errorf("cannot write %s: %w", file, err)
		}
	}
	return nil
}

// mergeProfiles writes the sum of profiles to file. The program's own path is
// cut to its name: where it stood is nobody's business.
func mergeProfiles(file string, parts [][]byte) error {
	var all []*profile.Profile
	for _, b := range parts {
		p, err := profile.ParseData(b)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	sum, err := profile.Merge(all)
	if err != nil {
		return err
	}
	for _, m := range sum.Mapping {
		m.File = filepath.Base(m.File)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(sum.Write(f), f.Close())
}

// pprofTool runs `go tool pprof`, which whoever reads profiles has.
func pprofTool(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // the first use builds it
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof"}, args...)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go tool pprof: %w\n%s", err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
