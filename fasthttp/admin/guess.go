package admin

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"cowrelay/cow/rate"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/refusal"
)

// guesses slows down clients that send wrong tokens. Wrong tokens never hold up
// the right one, whichever client sends them.
type guesses struct {
	clients *rate.Limiter[accept.Client]
	all     *rate.Bucket
	waiting atomic.Int64  // answers that are held back now
	wrong   atomic.Uint64 // tokens
	started time.Time     // of the limiters' clock
}

const (
	guessDelay   = time.Second
	guessWaiters = 8    // answers that are held back at once
	guessClients = 4096 // that are kept in mind
)

// Wrong tokens that are answered at once: an operator may have yesterday's, or
// mistype it twice.
var (
	guessesOfOne = rate.PerSecond(1, 5)
	guessesOfAll = rate.PerSecond(5, 20)
)

var (
	errToken   = &refusal.Reply{Status: http.StatusUnauthorized, Text: "send Authorization: Bearer <admin token>"}
	errGuesses = &refusal.Reply{Status: http.StatusTooManyRequests, Text: "too many wrong admin tokens; try again", RetryAfter: 1}
)

func newGuesses() *guesses {
	return &guesses{clients: rate.NewLimiter[accept.Client](guessesOfOne, guessClients), all: rate.NewBucket(guessesOfAll), started: time.Now()}
}

// refuse returns the answer to a wrong token when the client may have it: at once
// within the limits, else after guessDelay. Where guessWaiters wait for that
// already, the answer is at once that the client asks too often.
func (g *guesses) refuse(ctx context.Context, client accept.Client) *refusal.Reply {
	g.wrong.Add(1)
	now := int64(time.Since(g.started))
	if ok, _ := g.clients.Allow(client, now); ok {
		if ok, _ = g.all.Allow(now); ok {
			return errToken
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
	return errToken
}
