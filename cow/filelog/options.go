package filelog

import (
	"fmt"
	"log/slog"
	"time"
)

// Sync says when an entry becomes durable.
type Sync uint8

const (
	// Always: before Append returns. The default.
	Always Sync = iota
	// Interval: within Options.Interval. A crash of the machine loses what was
	// appended since the last sync.
	Interval
	// Off: when the system writes it back, or when its segment is full. A crash of
	// the machine loses any tail.
	Off
)

var syncNames = [...]string{Always: "always", Interval: "interval", Off: "off"}

// String returns the name that ParseSync reads.
func (s Sync) String() string {
	if int(s) < len(syncNames) {
		return syncNames[s]
	}
	return fmt.Sprintf("Sync(%d)", uint8(s))
}

// ParseSync reads "always", "interval" or "off".
func ParseSync(s string) (Sync, error) {
	for i, name := range syncNames {
		if s == name {
			return Sync(i), nil
		}
	}
	return 0, fmt.Errorf("cannot parse sync mode %q: it is always, interval or off", s)
}

const (
	DefaultInterval     = 100 * time.Millisecond
	DefaultSegmentBytes = 16 << 20
	// MinSegmentBytes is for tests and small disks.
	MinSegmentBytes = 1 << 10
	// MaxEntry is the size of the largest entry, in bytes: more than replay makes.
	MaxEntry = 64 << 20
	// DefaultOpenFiles lets segments be ready, and lets full ones wait for their sync.
	DefaultOpenFiles = 12
	// MinOpenFiles are the file synced, the segment that is written, the next one,
	// and what is in hand for a moment.
	MinOpenFiles = 4
)

// Options of Open and OpenReader. The zero value means the defaults.
type Options struct {
	// Sync mode. Default Always.
	Sync Sync
	// Interval between two syncs in mode Interval. Default 100 ms.
	Interval time.Duration
	// SegmentBytes is the size of a new segment. Default 16 MiB. A segment is made
	// larger for an entry that does not fit into one.
	SegmentBytes int64
	// OpenFiles is how many descriptors the log may have open. Default 12, at least
	// MinOpenFiles. With less than 12 one segment is ready, not two.
	OpenFiles int
	// Base is the number of the newest entry that is not needed any more: the store
	// holds it durably. What is damaged up to there does no harm. A log that ends
	// before Base goes on behind it. With 0 the log is needed from where it begins.
	Base uint64
	// Create makes a log where there is none. It begins at Base+1.
	Create bool
	// AcceptLoss opens a damaged log. It cuts the log before the first entry that
	// can't be read, and makes one where there is none.
	AcceptLoss bool
	// FS holds the folder. Default: the real disk, files 0600, folders 0700.
	FS FS
	// Logger gets what an operator should know. Default slog.Default().
	Logger *slog.Logger
}

func (o *Options) ensureDefaults() {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	o.SegmentBytes = align(max(o.SegmentBytes, MinSegmentBytes))
	if o.OpenFiles <= 0 {
		o.OpenFiles = DefaultOpenFiles
	}
	if o.FS == nil {
		o.FS = Disk{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Create = o.Create || o.AcceptLoss
}
