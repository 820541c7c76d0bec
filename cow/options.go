package cow

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// MaxSlotBytes is the quota of a slot: the JSON of all its events together.
const MaxSlotBytes = 67_108_864

// Options are a store's limits. A zero field takes its default.
type Options struct {
	MaxSlots       int           // slots that may exist (200,000)
	StreamsPerSlot int           // subscribers a slot may have (256)
	PageBytes      int           // most bytes of a window, if more than one event (4 MiB)
	MemoryBudget   int64         // bytes for slots in memory (256 MiB)
	QueuePosts     int           // posts of one event that may wait for the journal (4,096), and four times as many events of posts of many
	QueueBytes     int           // and their bytes (32 MiB), half of them of posts of many events
	QueueTimeout   time.Duration // how long a post waits to be handed to the journal (10 s)
	CommitWait     time.Duration // how long a small batch may be held back for more posts (0: never)
	StallAfter     time.Duration // a commit that takes longer turns new posts away (1 s)
	Loads          int           // slots and chunks that are read at once (4)
	LoadPatience   time.Duration // how long a load waits for memory, in all (5 s)
	LoadTimeout    time.Duration // how long a request waits for a load, and a load for its turn (10 s)
	LoadWaiters    int           // requests that may wait for loads at once (4,096)
	TouchInterval  time.Duration // how often times of pulls are written (10 s)

	// Free returns how many bytes the journal's disk has left. Without it the disk
	// never counts as full. It is asked at most every 100 ms. With less than
	// Reserve bytes left (128 MiB) nothing new is written.
	Free    func() (uint64, error)
	Reserve uint64

	// Committed, if set, hears of every batch: how many posts, how many bytes of
	// events, and how long the journal took. The commit loop calls it.
	Committed func(posts, bytes int, took time.Duration)

	Logger *slog.Logger // slog.Default()
}

func (o *Options) setDefaults() {
	def(&o.MaxSlots, 200_000)
	def(&o.StreamsPerSlot, 256)
	def(&o.PageBytes, 4<<20)
	def(&o.MemoryBudget, 256<<20)
	def(&o.QueuePosts, 4096)
	def(&o.QueueBytes, 32<<20)
	def(&o.QueueTimeout, 10*time.Second)
	def(&o.StallAfter, time.Second)
	def(&o.Loads, 4)
	def(&o.LoadPatience, 5*time.Second)
	def(&o.LoadTimeout, 10*time.Second)
	def(&o.LoadWaiters, 4096)
	def(&o.TouchInterval, 10*time.Second)
	def(&o.Reserve, 128<<20)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

func def[T comparable](v *T, to T) {
	if *v == *new(T) {
		*v = to
	}
}

// Limits are what a store holds its callers to.
type Limits struct {
	Slots      int    // that may exist
	Reserve    uint64 // bytes of disk below which nothing new is written
	QueuePosts int    // posts of one event that may wait for the journal
	QueueLines int    // events of posts of many that may wait beside them
	QueueBytes int    // bytes of the events of all of them
}

// Errors of a store, beside those of its journal. A post that got one of them is not
// stored, with the exception of ErrUnknown.
var (
	// ErrBusy: too much waits, or a load found no room in time. Try again in a second.
	ErrBusy = errors.New("cow: too much waits")
	// ErrNoSpace: the disk is nearly full.
	ErrNoSpace = errors.New("cow: the disk is nearly full")
	// ErrSlotFull: the slot's byte quota would be overrun.
	ErrSlotFull = errors.New("cow: slot full")
	// ErrTooManySlots: the relay has as many slots as it may.
	ErrTooManySlots = errors.New("cow: too many slots")
	// ErrTooManyStreams: the slot has as many subscribers as it may.
	ErrTooManyStreams = errors.New("cow: too many streams on the slot")
	// ErrClosed: the store is closing.
	ErrClosed = errors.New("cow: closing")
	// ErrUnknown: the journal can't say whether the post is stored. The relay
	// must not answer it at all: the client sends it again, and its id makes
	// that safe.
	ErrUnknown = errors.New("cow: outcome unknown")
)

// Stats are counters and gauges of a store. All fields may be read at any time.
type Stats struct {
	Events, Bytes  atomic.Int64  // held by all slots
	Subscribers    atomic.Int64  // open now, long polls included
	PostsStored    atomic.Uint64 // since the store was opened; of a post of many, each event
	PostsDuplicate atomic.Uint64 // likewise
	PostsRejected  atomic.Uint64 // the queue was full
	PostsStalled   atomic.Uint64 // turned away while a commit hung
	PostsExpired   atomic.Uint64 // waited too long for the journal
	PostsNoSpace   atomic.Uint64
	CommitsStalled atomic.Uint64 // that took so long that new posts were turned away
	SlotsMade      atomic.Uint64
	SlotsRemoved   atomic.Uint64
	SlotsUnused    atomic.Uint64 // that ended as nobody had ever used them
	SlotsIdle      atomic.Uint64 // that ended as nobody used them any more
	SlotsSpared    atomic.Uint64 // that were to end, and were used just then
	SweptAt        atomic.Int64  // when a sweep has ended last, Unix seconds; 0: none has
	TrimsHeld      atomic.Bool   // events should leave, and the fleet is too old for it
	SweepBehind    atomic.Int64  // for so many seconds something should have ended then
	EventsTrimmed  atomic.Uint64 // that left their slots, which go on
	// EphemeralTrimmed are those of EventsTrimmed that left by the time of ephemeral kinds,
	// by an act of this relay.
	EphemeralTrimmed atomic.Uint64
	BytesTrimmed     atomic.Uint64 // of these events
	FramesEncoded    atomic.Uint64 // into shared frames
	FramesReplayed   atomic.Uint64 // for one reader
	SlotLoads        atomic.Uint64
	ChunkLoads       atomic.Uint64
	PartLoads        atomic.Uint64 // of cold slots that were read by position
	LoadErrors       atomic.Uint64
	Panics           atomic.Uint64 // in loads; each ended that load alone
	LoadsRefused     atomic.Uint64 // too many waited, or one waited too long
	Recoveries       atomic.Uint64 // appends that met another writer or an unknown outcome
}

// Memory is where the budget's bytes are.
type Memory struct {
	Limit, Used, Retired        int64 // bytes
	Chunks, Index, Frames, Desk int64 // bytes, of Used; Desk is what was charged
	EvictedChunks, EvictedSlots uint64
	HotSlots                    int
}

// clock is the store's clock: nanoseconds since it was opened, which never go back.
// It is a value and not a function, as every post may ask it.
type clock struct{ opened time.Time }

func (c clock) now() int64 { return int64(time.Since(c.opened)) }

// disk knows whether the journal's disk has room for more.
type disk struct {
	free    func() (uint64, error) // nil: it always has room
	reserve atomic.Uint64          // bytes below which nothing new is written
	log     *slog.Logger

	mu    sync.Mutex
	asked time.Time // guarded by mu: when free was called last
	full  error     // guarded by mu: ErrNoSpace if too little was free then
}

// room returns ErrNoSpace if the disk is nearly full. It asks at most every 100 ms,
// and logs when the answer changes.
func (d *disk) room() error {
	if d.free == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.asked) > 100*time.Millisecond {
		was := d.full
		free, err := d.free()
		reserve := d.reserve.Load()
		d.asked, d.full = now, nil
		if err == nil && free < reserve {
			d.full = ErrNoSpace
		}
		if d.full != nil && was == nil {
			d.log.Error("disk nearly full: posts are refused until there is room", "free_bytes", free, "reserve_bytes", reserve)
		} else if d.full == nil && was != nil {
			d.log.Info("disk has room again", "free_bytes", free)
		}
	}
	return d.full
}
