package config

import (
	"log/slog"
	"net/netip"
	"time"

	"cowrelay/cow/filelog"
	"cowrelay/fasthttp/coding"
	"cowrelay/fasthttp/limit"
)

// Config is what serve runs with. Layers.Load makes it; it is not changed after
// that, apart from KeepFixed: a reload makes a new one.
type Config struct {
	// Where the relay listens and stores.
	Binds          []Listening // empty: no listener of TCP
	UDS            string      // path of a Unix socket; "": none
	LocalOnly      bool        // serve what agents on one machine need, and no more
	Admin          string      // "": no listener for operators
	AdminToken     string      // "": none
	AdminTokenFile string      // the file that it is from, or ""
	DataDir        string
	Journal        string       // file or jetstream: where the log is
	Sync           filelog.Sync // of the log on this machine
	NATS           NATS         // of the log that relays share
	RelayName      string       // among those relays

	// How clients that speak TLS are served.
	TLSCert, TLSKey string   // files; "": none
	ACMEDomains     []string // for which an authority is asked for certificates; empty: none is
	ACMEEmail       string
	ACMEDirectory   string
	ACMECache       string // "": a folder in DataDir
	ProxyProtocol   bool   // trusted proxies tell their clients by it

	// Bytes.
	RuntimeMemory int64 // Go's memory limit
	MemoryBudget  int64 // of it, for slots, store and requests
	RequestBudget int64 // of MemoryBudget; 0: as plan.SplitBudget has it
	DiskReserve   int64 // of free disk that posts leave
	PageBytes     int   // of a page of events

	InviteInstaller string // URL of a script that installs the client; empty: none

	// Most of each at once.
	MaxSlots           int
	MaxHandles         int
	MaxInvites         int
	MaxPairs           int
	MaxConns           int
	MaxConnsPerAddress int // 0: as many as nobody else wants
	MaxStreams         int
	MaxLongPolls       int

	// What ends when; 0: never.
	UnusedSlotTTL  time.Duration // a slot that nobody has ever used
	SlotIdleTTL    time.Duration // a slot that nobody uses any more
	EventTTL       time.Duration // an event
	EphemeralTTL   time.Duration // an event of an ephemeral kind, at the front of its slot
	EventKeep      uint64        // of the newest events of a slot
	EventKeepBytes uint64        // of them, bytes

	// Who the clients are, and what they may.
	RateLimits     limit.Rates
	TrustedProxies []netip.Prefix
	ClientHeaders  []string // the headers in which those name the client, the first that is there counts
	CORSOrigins    []string
	Compression    coding.Set

	// Times.
	CommitWait         time.Duration // longest time that a small commit is held back for more posts
	Heartbeat          time.Duration // longest silence on a stream
	HeaderTimeout      time.Duration
	BodyTimeout        time.Duration
	WriteTimeout       time.Duration
	IdleTimeout        time.Duration
	StreamWriteTimeout time.Duration
	HandleMoveAfter    time.Duration // without a reader of a handle's slot, until the handle may move to another
	DrainTimeout       time.Duration // from the signal to the closing of the store
	DrainDelay         time.Duration // from the signal to the closing of the listener

	// What is seen of it.
	LogLevel      slog.Level
	LogFormat     string // text or json
	AccessLog     bool
	AccessLogFile string  // "": the log
	AccessSample  int     // one of so many requests is in it
	OTLPEndpoint  string  // of a collector of traces; "": none
	TraceSample   float64 // of requests that bring no trace

	MutexRate int // as runtime.SetMutexProfileFraction takes it
	BlockRate int // as runtime.SetBlockProfileRate takes it

	settings []Setting // with the values that were read
	origins  []string  // where those are from, one for each
	unread   []string  // variables that nothing reads
}
