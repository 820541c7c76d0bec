package certs

import (
	"context"
	"crypto/tls"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// Source has the certificates that a relay shows. Files and ACME make it. It may be
// used from any goroutine.
type Source struct {
	config *tls.Config
	// expires is when the first of the certificates expires, in seconds since 1970;
	// 0: there is none yet. Its goroutine stores it, metrics load it.
	expires      atomic.Int64
	good, failed atomic.Uint64

	look chan struct{} // asks for a look at once; holds one
	quit context.CancelFunc
	wg   sync.WaitGroup
}

// Config is what a listener needs to serve TLS: Go's own choices from TLS 1.2 on, and
// HTTP/1.1 alone.
func (s *Source) Config() *tls.Config { return s.config }

// Expires is when the first certificate expires. The zero time: there is none yet.
func (s *Source) Expires() time.Time {
	if at := s.expires.Load(); at != 0 {
		return time.Unix(at, 0)
	}
	return time.Time{}
}

// Loads counts certificates that were taken up, and attempts that failed.
func (s *Source) Loads() (good, failed uint64) { return s.good.Load(), s.failed.Load() }

// Look has the source look for new certificates now. It does not wait.
func (s *Source) Look() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// Close ends the source's goroutine. What it has shown can be shown on.
func (s *Source) Close() {
	s.quit()
	s.wg.Wait()
}

func newSource(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), protocols ...string) *Source {
	return &Source{
		look: make(chan struct{}, 1),
		config: &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: get,
			// Nothing above knows HTTP/2.
			NextProtos: append([]string{"http/1.1"}, protocols...),
		},
	}
}

// run calls step again and again: when Look asks, and when the time is over that step
// has returned.
func (s *Source) run(step func(context.Context) (next time.Duration)) {
	ctx, cancel := context.WithCancel(context.Background())
	s.quit = cancel
	s.wg.Go(func() {
		pprof.Do(ctx, pprof.Labels("relay", "certificates"), func(ctx context.Context) {
			timer := time.NewTimer(0)
			defer timer.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-s.look:
				case <-timer.C:
				}
				timer.Reset(step(ctx))
			}
		})
	})
}
