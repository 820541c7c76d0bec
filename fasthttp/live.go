package fasthttp

import (
	"net/netip"

	"cowrelay/fasthttp/stream"
)

// Live is the part of Options that may change while the relay serves.
type Live struct {
	MaxStreams int  // streams open at once (50,000)
	MaxWaiters int  // long polls that wait at once (4,096)
	AccessLog  bool // log every request

	MaxConnsPerAddress int // connections of one client address that is no trusted proxy (as many as there are)

	TrustedProxies []netip.Prefix // who may say for which client a request is (nobody)
	ClientHeaders  []string       // by which header, the first that is there (DefaultClientHeaders)
	RateLimits     *RateLimits    // how often clients may ask (DefaultRateLimits)
	CORSOrigins    []string       // whose pages may read replies, or "*" (nobody's)

	limits *limits
}

func (l *Live) setDefaults() {
	def(&l.MaxStreams, 50_000)
	def(&l.MaxWaiters, 4096)
	if len(l.ClientHeaders) == 0 {
		l.ClientHeaders = DefaultClientHeaders
	}
	if l.RateLimits == nil {
		limits := DefaultRateLimits()
		l.RateLimits = &limits
	}
}

// SetLive changes what may change. Streams beyond a lower limit go on, and new
// ones are refused until there is room; so do long polls, until a new one comes,
// to which they give way. A zero field takes its default.
func (r *Relay) SetLive(l Live) {
	l.setDefaults()
	l.limits = nil
	if old := r.live.Load(); old != nil {
		l.limits = old.limits
	}
	l.limits = newLimits(*l.RateLimits, l.limits)
	r.streams.SetMost(l.MaxStreams)
	r.polls.books.SetLimits(int64(l.MaxWaiters), stream.ShareOf(l.MaxWaiters))
	// Publish: pairs with the Loads along requests. What was published is never
	// written again.
	r.live.Store(&l)
}
