package fasthttp

import (
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/coding"
	"cowrelay/fasthttp/limit"
	"cowrelay/fasthttp/manual"
	"cowrelay/fasthttp/stats"
	"cowrelay/fasthttp/trace"
)

// Options are a relay's limits and habits. A zero field takes its default.
type Options struct {
	Version string // as /stats.json shows it ("dev")
	Sync    string // how the journal syncs, for the metrics ("unknown")
	// RelayName tells the relays of a fleet apart: each has its own history of
	// statistics. "" for a relay that is alone.
	RelayName string

	// Desk is where agents find each other. It must be set, and stays the caller's.
	Desk *rendezvous.Desk

	HeaderTimeout time.Duration // from a connection's or request's first byte to the end of its header (10 s)
	BodyTimeout   time.Duration // from there to the end of the body (30 s)
	WriteTimeout  time.Duration // for a whole reply (60 s)
	IdleTimeout   time.Duration // between two requests of a connection (75 s)

	MaxConns int // connections open at once, streams included (60,000)

	// LocalOnly serves the routes alone that agents on one machine need. A Unix
	// socket serves no others in any case.
	LocalOnly bool

	// ProxyProtocol has connections of trusted proxies begin with a PROXY header that
	// tells the client.
	ProxyProtocol bool

	// What the sweeper does with slots and events that ask for nothing else, and the most
	// that they may ask for (0: it keeps them for ever).
	SlotTTL, EventTTL time.Duration

	RequestBytes int64 // memory of requests that are arriving (32 MiB)

	Heartbeat          time.Duration // between two comment lines of an idle stream (12 s)
	StreamWriteTimeout time.Duration // for one piece of a stream or a long reply, at most 64 KiB (10 s)
	StreamSendBuffer   int           // bytes of kernel send buffer a stream (64 KiB)

	// Bytes that the kernel buffers for a connection (negative: as the system
	// does): of what is sent to it (512 KiB), of that what may not go out yet
	// (192 KiB, on Linux), and of what it sends (128 KiB). The system takes twice
	// the first and the last, with its own costs. So 600 clients that read nothing
	// fill 120 MiB at most, and what they send and nobody reads 150 MiB.
	SendBuffer, UnsentBuffer, ReceiveBuffer int

	CPUs          float64 // processors that the process may use (GOMAXPROCS)
	StreamWriters int     // goroutines that write to streams (twice the processors, at least 2)

	SampleEvery time.Duration // between two rows of the statistics' history, in whole seconds (30 s; negative: no rows)

	Manual *manual.Book // its pages are served; nil: there are none

	Live                // what SetLive may change later
	Logger *slog.Logger // slog.Default()

	// Journal, if set, is asked at every scrape for the journal's figures.
	Journal func() stats.Journal

	// Process, if set, is what the process tells of itself.
	Process *stats.Process

	// Tracer, if set, traces requests. Without it, no request costs anything for that.
	Tracer trace.Tracer

	// Certificates, if set, is asked at every scrape for those of listeners with TLS.
	Certificates func() Certificates

	// AccessLogger is where requests are logged (Logger).
	AccessLogger *slog.Logger
	// LogDropped, if set, is asked at every scrape how many lines of the log were
	// dropped: because too many waited, and because they could not be written.
	LogDropped func() (full, failed uint64)

	now         func() int64  // the clock of rate limits in nanoseconds, for tests; else the store's
	grace       time.Duration // see conn.Options, for tests
	arrivalsNow func() int64  // likewise
}

// Certificates is what is told of the certificates.
type Certificates struct {
	Expires        int64  // when the first of them does, in seconds since 1970; 0: there is none
	Loaded, Failed uint64 // how often one was taken up, and attempts that failed
}

func (o *Options) setDefaults() {
	def(&o.Version, "dev")
	def(&o.Sync, "unknown")
	if o.Process == nil {
		o.Process = new(stats.Process)
	}
	def(&o.HeaderTimeout, 10*time.Second)
	def(&o.BodyTimeout, 30*time.Second)
	def(&o.WriteTimeout, time.Minute)
	def(&o.IdleTimeout, 75*time.Second)
	def(&o.MaxConns, 60_000)
	def(&o.RequestBytes, 32<<20)
	def(&o.StreamWriteTimeout, 10*time.Second)
	def(&o.SendBuffer, 512<<10)
	def(&o.UnsentBuffer, 192<<10)
	def(&o.ReceiveBuffer, 128<<10)
	def(&o.SampleEvery, stats.DefaultEvery)
	def(&o.CPUs, float64(runtime.GOMAXPROCS(0)))
	def(&o.StreamWriters, max(2, int(2*o.CPUs)))
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.AccessLogger == nil {
		o.AccessLogger = o.Logger
	}
}

// Live is the part of Options that may change while the relay serves.
type Live struct {
	MaxStreams int  // streams open at once (50,000)
	MaxWaiters int  // long polls that wait at once (4,096)
	AccessLog  bool // log every request

	AccessLogSample int // of AccessLog: log one request of so many, and all faults (1)

	MaxConnsPerAddress int // connections of one client address, unless it is a trusted proxy (MaxConns)

	TrustedProxies []netip.Prefix // proxies that may say which client a request is from (none)
	ClientHeaders  []string       // in which header; the first that is there counts (limit.DefaultHeaders)
	RateLimits     *limit.Rates   // how often clients may ask (limit.DefaultRates)
	CORSOrigins    []string       // sites whose pages may read replies, or "*" (none)
	Compression    coding.Set     // codings that pages are compressed with for clients that ask (none)

	limiter *limit.Limiter // of RateLimits; made by SetLive
}

func (l *Live) setDefaults() {
	def(&l.MaxStreams, 50_000)
	def(&l.MaxWaiters, 4096)
	def(&l.AccessLogSample, 1)
	if len(l.ClientHeaders) == 0 {
		l.ClientHeaders = limit.DefaultHeaders
	}
	if l.RateLimits == nil {
		rates := limit.DefaultRates()
		l.RateLimits = &rates
	}
}

// def sets a field that is zero to its default.
func def[T comparable](v *T, to T) {
	if *v == *new(T) {
		*v = to
	}
}

// proxies are those that may name a client.
func (l *Live) proxies() limit.Proxies {
	return limit.Proxies{Trusted: l.TrustedProxies, Headers: l.ClientHeaders}
}

// origins are the sites whose pages may read replies.
func (l *Live) origins() origins { return l.CORSOrigins }

// mostConns is how many connections the peer may have; 0 is as many as there are.
// A trusted proxy may have all: the connections of all its clients are its own.
func (l *Live) mostConns(peer netip.Addr) int64 {
	if l.proxies().Trust(peer) {
		return 0
	}
	return int64(l.MaxConnsPerAddress)
}
