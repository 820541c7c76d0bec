package drill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/attack/relay"
)

// logpipeDrill closes the reader's end of the relay's log, or stops reading it,
// while every request writes a line. The relay must still hear signals and the
// operator.
var logpipeDrill = Drill{
	Name: "logpipe", what: "the reader of the log closes its end, or stops reading",
	Variants: func(c Scale) []Variant {
		one := func(name string, end func(*relay.Process) error) Variant {
			return Variant{
				Name:  name,
				Relay: relay.Args{PipeLog: true, Flags: []string{"--access-log=true", "--config", relay.InDir + "relay.toml"}},
				Fill:  func(_ context.Context, r *Scene) error { return r.Relay.Configure(1000) },
				Attack: func(ctx context.Context, r *Scene, armed func()) error {
					if err := end(r.Relay); err != nil {
						return err
					}
					armed()
					<-ctx.Done()
					return nil
				},
				Final: logpipeFinal,
			}
		}
		return []Variant{one("closed", (*relay.Process).CloseLog), one("stalled", (*relay.Process).StallLog)}
	},
}

// actTime is how long a signal or an act of the operator may take.
const actTime = 20 * time.Second

// logpipeFinal checks that SIGHUP, an operator's act and SIGTERM are heard.
func logpipeFinal(ctx context.Context, r *Scene) {
	const streams = 1234
	err := r.Relay.Configure(streams)
	if err == nil {
		err = r.Relay.Reload()
	}
	began := time.Now()
	if err == nil && !r.Await(ctx, actTime, func() bool {
		m, err := books.Metrics(ctx, r.Relay.Admin, r.Relay.Token)
		return err == nil && m["cowrelay_streams_max"] == streams
	}) {
		err = fmt.Errorf("not heard within %v", actTime)
	}
	r.Bar("SIGHUP acts", err, "after "+time.Since(began).Round(time.Millisecond).String())

	began = time.Now()
	acting, cancel := context.WithTimeout(ctx, actTime)
	_, err = r.Relay.Act(acting, http.MethodPut, "/admin/v1/log-level", `{"level":"debug"}`)
	cancel()
	r.Bar("an operator's act is done", err, "after "+time.Since(began).Round(time.Millisecond).String())
	if r.Relay.Ended() {
		r.Bar("SIGTERM ends it in order", errors.New("it had ended before"), "")
		return
	}
	took, err := r.Relay.Stop(drainTime)
	r.Bar("SIGTERM ends it in order", err, "after "+took.Round(time.Millisecond).String())
}
