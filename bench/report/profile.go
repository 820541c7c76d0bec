package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// profileArgs turn on what a relay does not sample by itself: every contended
// lock, and waits of 10 µs or more, with shorter ones by chance. Sampling every
// wait would show up in the CPU profile. The user's own arguments come later,
// and can say otherwise.
var profileArgs = []string{"--mutex-profile-fraction", "1", "--block-profile-rate", "10000"}

// ProfileFiles are the profiles that a profiled run writes, each as NAME.pprof.
// The first four cover the measured time of all the relay's rounds, and nothing
// else. heap and goroutine are from the middle of the last round.
var ProfileFiles = []string{"cpu", "allocs", "mutex", "block", "heap", "goroutine"}

// profiledSpans are the profiles that cover a time, each with its path. For all
// but the first, the relay takes its state at both ends of the time and answers
// with the difference.
var profiledSpans = map[string]string{"cpu": "profile", "allocs": "allocs", "mutex": "mutex", "block": "block"}

// A Profiler takes profiles of the relay from its admin listener while rounds
// are measured. A nil one takes none.
type Profiler struct {
	dir      string
	duration time.Duration

	mu    sync.Mutex          // guards the fields below
	spans map[string][][]byte // by name, a profile for each round
	last  map[string][]byte   // by name, the newest
}

// NewProfiler returns a profiler for rounds of that duration. It writes to dir.
func NewProfiler(dir string, duration time.Duration) (*Profiler, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the profiles: %w", err)
	}
	return &Profiler{dir: dir, duration: duration, spans: map[string][][]byte{}, last: map[string][]byte{}}, nil
}

// RelayArgs returns a relay's arguments with those that profiles need.
func (p *Profiler) RelayArgs(args []string) []string {
	if p == nil {
		return args
	}
	return slices.Concat(profileArgs, args)
}

// Begin begins to take profiles for the measured time d, which begins now. end
// waits for them; it is called when that time is over, while the load goes on.
// A time shorter than a round is not profiled.
func (p *Profiler) Begin(ctx context.Context, admin string, d time.Duration) (end func() error) {
	if d < p.duration {
		return func() error { return nil }
	}
	// The relay takes whole seconds.
	seconds := int(d.Seconds())
	ctx, cancel := context.WithTimeout(ctx, d+30*time.Second)
	var wg sync.WaitGroup
	var log profileErrors
	for name, path := range profiledSpans {
		wg.Go(func() {
			b, err := fetchProfile(ctx, admin, fmt.Sprintf("%s?seconds=%d", path, seconds))
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
			b, err := fetchProfile(ctx, admin, name)
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

// profileErrors are the errors of all profiles of a round.
type profileErrors struct {
	mu   sync.Mutex
	errs []error
}

// add keeps an error, and says whether there was one.
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

// profileClient keeps no connection, so that none is idle in the next round.
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
