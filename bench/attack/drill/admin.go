package drill

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// adminDrill attacks the operators' listener with idle connections, bodies that
// never come, and guesses of the token.
var adminDrill = Drill{
	Name: "admin", what: "idle connections, slow bodies and token guesses at the admin listener",
	Variants: func(c Scale) []Variant {
		idle, slow := c.Of(1000, 600), c.Of(200, 60)
		crowds := []crowd{atOne, atHonest}
		if c.Short {
			crowds = crowds[:1]
		}
		var out []Variant
		for _, by := range crowds {
			var guesses atomic.Int64
			out = append(out, Variant{
				Name:  fmt.Sprintf("%d idle connections, %d slow bodies and 8 guessers, %s", idle, slow, by.name),
				Relay: relay.Args{Token: true},
				Attack: join(
					idleConnections(idle, by, true),
					slowAdminBodies(slow, by),
					guessTokens(8, by, &guesses)),
				During: func(ctx context.Context, r *Scene) { adminBounds(r, &guesses) },
			})
		}
		return out
	},
}

// slowAdminBodies begins n acts of an operator and never sends their bodies.
func slowAdminBodies(n int, by crowd) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		f := &fleet{n: n, to: r.Relay.Admin, crowd: by, again: againAfter}
		req := r.Relay.Request("POST", "/admin/v1/drain", "wrong", "Content-Type: application/json\r\nContent-Length: 1000\r\n")
		f.act = func(_ context.Context, c *net.TCPConn, _ int, there func()) error {
			if _, err := c.Write(req); err != nil {
				return err
			}
			there()
			return listen(c)
		}
		f.run(ctx, armed)
		return nil
	}
}

// guessTokens asks with wrong tokens, as fast as it gets answers. It does not
// count 429.
func guessTokens(n int, by crowd, answered *atomic.Int64) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		c, done := client.At(by.ip(0), n)
		defer done()
		armed()
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				for k := 0; ctx.Err() == nil; k++ {
					if _, err := client.Send(ctx, c, "GET", "http://"+r.Relay.Admin+"/admin/v1/status", fmt.Sprintf("guess-%d-%d", i, k), nil, 401, 403); err == nil {
						answered.Add(1)
					} else {
						client.Pause(ctx, 50*time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		return nil
	}
}

const (
	// mostGuesses is how many guesses a second may be answered. 6,500 would find a
	// weak token in an evening.
	mostGuesses = 200
	// mostAdmin is how many connections of one address the admin listener may have
	// at once, with some for the operator.
	mostAdmin = 300
)

// adminBounds checks what the attack has taken, when it has lasted.
func adminBounds(r *Scene, guesses *atomic.Int64) {
	_, sockets, err := relay.OpenFiles(r.Relay.PID())
	seen := fmt.Sprintf("%d sockets", sockets)
	if err == nil && sockets > mostAdmin {
		err = fmt.Errorf("%s, bound is %d", seen, mostAdmin)
	}
	r.Bar("the admin listener's connections are bounded", err, seen)
	per := float64(guesses.Load()) / r.Lasted.Seconds()
	seen = fmt.Sprintf("%.0f guesses a second", per)
	err = nil
	if per > mostGuesses {
		err = fmt.Errorf("%s, bound is %d", seen, mostGuesses)
	}
	r.Bar("token guesses are slow", err, seen)
}
