package fasthttp

import (
	"net/netip"

	"cowrelay/fasthttp/limit"
)

// Live is the part of Options that may change while the relay serves.
type Live struct {
	MaxStreams int  // streams open at once (50,000)
	MaxWaiters int  // long polls that wait at once (4,096)
	AccessLog  bool // log every request

	MaxConnsPerAddress int // connections of one client address, unless it is a trusted proxy (MaxConns)

	TrustedProxies []netip.Prefix // proxies that may say which client a request is from (none)
	ClientHeaders  []string       // in which header; the first that is there counts (limit.DefaultHeaders)
	RateLimits     *limit.Rates   // how often clients may ask (limit.DefaultRates)
	CORSOrigins    []string       // sites whose pages may read replies, or "*" (none)

	limiter *limit.Limiter // of RateLimits; made by SetLive
}

func (l *Live) setDefaults() {
	def(&l.MaxStreams, 50_000)
	def(&l.MaxWaiters, 4096)
	if len(l.ClientHeaders) == 0 {
		l.ClientHeaders = limit.DefaultHeaders
	}
	if l.RateLimits == nil {
		rates := limit.DefaultRates()
		l.RateLimits = &rates
	}
}

// SetLive changes what may change. A zero field takes its default. Streams beyond a
// lower limit go on, and new ones are refused until there is room. Long polls beyond
// it go on, too, and give way to new ones.
func (r *Relay) SetLive(l Live) {
	l.setDefaults()
	var before *limit.Limiter
	if old := r.live.Load(); old != nil {
		before = old.limiter
	}
	l.limiter = limit.New(*l.RateLimits, before)
	r.streams.SetMost(l.MaxStreams)
	r.polls.SetMost(l.MaxWaiters)
	// Publish: pairs with the Loads along requests. What was published is never
	// written again.
	r.live.Store(&l)
}

// origins are the sites whose pages may read replies.
func (l *Live) origins() origins { return l.CORSOrigins }
