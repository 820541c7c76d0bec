package fasthttp

import (
	"context"
	"sync/atomic"
	"time"

	"cowrelay/cow/rate"

	"github.com/valyala/fasthttp"
)

// guesses slows down who sends wrong tokens. The right one is never held up by
// them, whoever sends them.
type guesses struct {
	clients *rate.Limiter[clientKey]
	all     *rate.Bucket
	waiting atomic.Int64
	wrong   atomic.Uint64 // tokens
	started time.Time
}

const (
	guessDelay   = time.Second
	guessWaiters = 8    // answers that are held back at once
	guessClients = 4096 // that are kept in mind
)

// Wrong tokens that are answered at once: for somebody who has the token of
// yesterday, or two.
var (
	guessesOfOne = rate.PerSecond(1, 5)
	guessesOfAll = rate.PerSecond(5, 20)
)

var errGuesses = &failure{status: fasthttp.StatusTooManyRequests, text: "too many wrong admin tokens; try again", retryAfter: 1}

func newGuesses() *guesses {
	return &guesses{clients: rate.NewLimiter[clientKey](guessesOfOne, guessClients), all: rate.NewBucket(guessesOfAll), started: time.Now()}
}

// refuse says what a client hears of a wrong token, once it may hear it: at
// once within the limits, else after a while, and where many wait for that
// already it hears that it asks too often.
func (g *guesses) refuse(ctx context.Context, client clientKey) *failure {
	g.wrong.Add(1)
	now := int64(time.Since(g.started))
	if ok, _ := g.clients.Allow(client, now); ok {
		if ok, _ = g.all.Allow(now); ok {
			return errAdminToken
		}
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > guessWaiters {
		return errGuesses
	}
	timer := time.NewTimer(guessDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return errAdminToken
}
