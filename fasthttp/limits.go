package fasthttp

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"cowrelay/cow/rate"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// class is a kind of request that has a limit of its own.
type class uint8

const (
	classAllocate class = iota
	classPost
	classRead
	classStream
	classOther
	classTotal // all of them together
	classes
	classFree // never limited
)

var classNames = [classes]string{"allocate", "post", "read", "stream", "other", "total"}

// RateLimits is how often clients may ask: each client for a class of requests,
// and in total all clients for whatever it is. A client is an IPv4 address or
// an IPv6 /64.
type RateLimits [classes]rate.Limit

// DefaultRateLimits are the contract's for allocations. The others are there to
// stop a client that runs wild, not to share the relay out: clients don't back
// off, and many may stand behind one address. 5,000 clients there that poll
// every 5 s over fresh connections make 1,000 requests a second, and all of
// them come back at once after a restart. In total it is what 250,000 of them
// ask for, which is more than the relay has slots.
func DefaultRateLimits() RateLimits {
	return RateLimits{
		classAllocate: rate.PerSecond(10, 50),
		classPost:     rate.PerSecond(1000, 5000),
		classRead:     rate.PerSecond(1000, 5000),
		classStream:   rate.PerSecond(500, 5000),
		classOther:    rate.PerSecond(200, 1000),
		classTotal:    rate.PerSecond(50_000, 100_000),
	}
}

// ParseRateLimits reads limits such as "allocate=10/50,read=0": so many a
// second, so many at once after a rest, or 0 for no limit. A class that is not
// named keeps its default.
func ParseRateLimits(text string) (RateLimits, error) {
	out := DefaultRateLimits()
	var seen [classes]bool
next:
	for _, item := range splitList(text) {
		name, value, _ := strings.Cut(item, "=")
		for c, known := range classNames {
			if name != known {
				continue
			}
			limit, err := parseLimit(value)
			if err == nil && seen[c] {
				err = fmt.Errorf("it is there twice")
			}
			if err != nil {
				return out, fmt.Errorf("%s: %w", item, err)
			}
			out[c], seen[c] = limit, true
			continue next
		}
		return out, fmt.Errorf("%s: the classes are %s", item, strings.Join(classNames[:], ", "))
	}
	return out, nil
}

func parseLimit(text string) (rate.Limit, error) {
	const most = 1_000_000
	if text == "0" {
		return rate.Limit{}, nil
	}
	often, burst, _ := strings.Cut(text, "/")
	r, errR := strconv.ParseFloat(often, 64)
	n, errN := strconv.Atoi(burst)
	if errR != nil || errN != nil || !(r >= 0.001 && r <= most) || n < 1 || n > most {
		return rate.Limit{}, fmt.Errorf("a limit is 0 for none, or acts a second and acts at once, such as 10/50, up to %d", most)
	}
	return rate.PerSecond(r, n), nil
}

// clientKeys is how many clients a class keeps in mind, at some 100 bytes each.
// One whose bucket is full again can be forgotten without a loss, and with
// limits as wide as these it soon is.
const clientKeys = 1 << 15

// limits holds clients to their rates.
type limits struct {
	RateLimits
	byClient [classTotal]*rate.Limiter[accept.Client]
	total    *rate.Bucket
}

// newLimits keeps what old knows of the classes that stay as they were.
func newLimits(to RateLimits, old *limits) *limits {
	l := &limits{RateLimits: to}
	for c := range l.byClient {
		if old != nil && old.RateLimits[c] == to[c] {
			l.byClient[c] = old.byClient[c]
		} else {
			l.byClient[c] = rate.NewLimiter[accept.Client](to[c], clientKeys)
		}
	}
	if old != nil && old.RateLimits[classTotal] == to[classTotal] {
		l.total = old.total
	} else {
		l.total = rate.NewBucket(to[classTotal])
	}
	return l
}

// classOf says which limit a request counts for. HEAD counts as GET does.
func classOf(rt *route, h *fasthttp.RequestHeader) class {
	reads, posts := h.IsGet() || h.IsHead(), h.IsPost()
	switch {
	case rt == routeHealthz, rt == routeReadyz:
		return classFree
	case rt == routeEvents && reads, rt == routeState && reads:
		return classRead
	case rt == routeStream && reads:
		return classStream
	case rt == routeEvents && posts, rt == routeHealth && posts, rt == routeSlot && h.IsDelete():
		return classPost
	case rt == routeAlloc && posts:
		return classAllocate
	}
	return classOther
}

// errWithin stands for "not refused" where nil means "not judged yet".
var errWithin = &refusal.Reply{Text: "BUG: this is not a refusal"}

// limited says whether the client asks too often. It is asked before all else,
// tokens included, so that guessing them is limited too. A request is counted
// once: one with a body is judged when its header is read, and the handler
// hears of it by the connection.
//
// Loopback is exempt if the client is there, not if a proxy there speaks for
// another; nor if it names a loopback address, which nobody there needs it for.
func (r *Relay) limited(req *request, h *fasthttp.RequestHeader) *refusal.Reply {
	c := req.conn
	if c == nil { // no TCP: of this machine
		return nil
	}
	live := r.live.Load()
	if c.local && len(live.TrustedProxies) == 0 {
		return nil
	}
	judged := c.judged
	c.judged = nil
	if judged == nil {
		if judged = r.judge(req, h, live); judged == nil {
			judged = errWithin
		}
	}
	if req.early {
		c.judged = judged
	}
	if judged == errWithin {
		return nil
	}
	return judged
}

func (r *Relay) judge(req *request, h *fasthttp.RequestHeader, live *Live) *refusal.Reply {
	kind := classOf(req.route, h)
	if kind == classFree {
		return nil
	}
	client, told := live.clientOf(req.conn.peer(), h)
	if client.IsLoopback() && !told {
		return nil
	}
	now := req.start
	if r.opts.now != nil {
		now = r.opts.now()
	}
	if ok, wait := live.limits.byClient[kind].Allow(accept.ClientAt(client), now); !ok {
		r.limitedBy[kind].Add(1)
		return tooMany("too many requests of this kind from your address; try again", wait)
	}
	// Second, so that who is refused alone takes nothing from the others.
	if ok, wait := live.limits.total.Allow(now); !ok {
		r.limitedBy[classTotal].Add(1)
		return tooMany("the relay is asked more than it may answer; try again", wait)
	}
	return nil
}

// clientKey is the key of the client that the request is from.
func (r *Relay) clientKey(c *conn, h *fasthttp.RequestHeader) accept.Client {
	client, _ := r.live.Load().clientOf(c.peer(), h)
	return accept.ClientAt(client)
}

func tooMany(text string, wait time.Duration) *refusal.Reply {
	return &refusal.Reply{Status: fasthttp.StatusTooManyRequests, Text: text, RetryAfter: int((wait + time.Second - 1) / time.Second)}
}

// keys returns how many clients are kept in mind, once for each class.
func (l *limits) keys() (n int64) {
	for _, c := range l.byClient {
		n += int64(c.Keys())
	}
	return n
}
