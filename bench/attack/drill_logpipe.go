package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// logpipeDrill: the reader of the relay's log closes its end, or stops reading,
// while every request writes a line. The signals and the operator must be heard.
var logpipeDrill = drill{
	name: "logpipe", what: "the reader of the log closes its end, or stops reading",
	variants: func(c *Config) []variant {
		one := func(name string, end func(*relay) error) variant {
			return variant{
				name:  name,
				relay: relayArgs{pipeLog: true, flags: []string{"--access-log=true", "--config", inDir + "relay.toml"}},
				fill:  func(_ context.Context, r *run) error { return r.relay.configure(1000) },
				attack: func(ctx context.Context, r *run, armed func()) error {
					if err := end(r.relay); err != nil {
						return err
					}
					armed()
					<-ctx.Done()
					return nil
				},
				final: logpipeFinal,
			}
		}
		return []variant{one("closed", (*relay).closeLog), one("stalled", (*relay).stallLog)}
	},
}

// configure writes the configuration file.
func (r *relay) configure(maxStreams int) error {
	return os.WriteFile(filepath.Join(r.dir, "relay.toml"), fmt.Appendf(nil, "max-streams = %d\n", maxStreams), 0o600)
}

// actTime is how long a signal or an act of the operator may take.
const actTime = 20 * time.Second

// logpipeFinal looks whether SIGHUP, an operator's act and SIGTERM are heard.
func logpipeFinal(ctx context.Context, r *run) {
	const streams = 1234
	err := r.relay.configure(streams)
	if err == nil {
		err = r.relay.cmd.Process.Signal(syscall.SIGHUP)
	}
	began := time.Now()
	if err == nil && !r.await(ctx, actTime, func() bool {
		m, err := readMetrics(ctx, r.relay.admin, r.relay.token)
		return err == nil && m["cowrelay_streams_max"] == streams
	}) {
		err = fmt.Errorf("not heard within %v", actTime)
	}
	r.res.bar("SIGHUP acts", err, "after "+time.Since(began).Round(time.Millisecond).String())

	began = time.Now()
	acting, cancel := context.WithTimeout(ctx, actTime)
	_, err = r.relay.act(acting, http.MethodPut, "/admin/v1/log-level", `{"level":"debug"}`)
	cancel()
	r.res.bar("an operator's act is done", err, "after "+time.Since(began).Round(time.Millisecond).String())
	if r.relay.ended() {
		r.res.bar("SIGTERM ends it in order", errors.New("it had ended before"), "")
		return
	}
	took, err := r.relay.stop(drainTime)
	r.res.bar("SIGTERM ends it in order", err, "after "+took.Round(time.Millisecond).String())
}
