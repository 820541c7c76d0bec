package handles

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
)

// Claim claims nicks again that are in a full directory: each claim has its card's
// signature checked, and is on stable storage before it is acknowledged. The bound
// stores as many bytes as the card has, with one write and one sync for all that
// wait, and checks nothing.
func Claim(cfg *run.Config) []run.Variant {
	var out []run.Variant
	for _, n := range cfg.ConnsOr(64) {
		out = append(out, run.Variant{
			Scenario: "claim", Text: fmt.Sprintf("%d conns, %s nicks", n, load.Thousands(float64(cfg.Handles))), Unit: "requests", Files: n,
			Bound: bound.Config{Mode: bound.Post, EventBytes: CardBytes},
			Open: func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
				c, err := newCrowd(ctx, e, s, max(cfg.Handles, n), n)
				if err == nil && !s.Bound() {
					err = c.fill(ctx, e)
				}
				return &claims{e, c}, err
			},
		})
	}
	return out
}

type claims struct {
	e *run.Env
	*crowd
}

func (r *claims) Round(ctx context.Context) (load.Sample, error) {
	ws := make([]load.Worker, r.conns)
	for i := range ws {
		ws[i] = reclaimer{r.open(i)}
	}
	return r.e.RunClosed(ctx, r.s, ws)
}

// A reclaimer claims nicks of its part at random.
type reclaimer struct{ *claimer }

func (r reclaimer) Do(ctx context.Context) error {
	rounds := (len(r.crowd.requests) - r.conn + r.crowd.conns - 1) / r.crowd.conns
	return r.claimer.Do(ctx, r.conn+r.crowd.conns*rand.IntN(rounds))
}

// checkClaimed checks the answer to a claim of agent n.
func checkClaimed(body []byte, n int) error {
	var a struct{ Nick, DID, Status string }
	if err := json.Unmarshal(body, &a); err != nil || a.Nick != nickOf(n) || a.Status != "claimed" && a.Status != "re-claimed" {
		return fmt.Errorf("the claim of %s was answered by %.200q", nickOf(n), body)
	}
	return nil
}
