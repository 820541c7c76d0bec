package rendezvous

import (
	"errors"
	"log/slog"
	"time"

	"cowrelay/cow"
)

// Options are a desk's limits. A zero field takes its default.
type Options struct {
	MaxHandles int           // nicks that may be claimed at once (100,000)
	MaxInvites int           // invites that may be live at once (50,000)
	MaxPairs   int           // pairs that may be open at once (50,000)
	PairIdle   time.Duration // after which a pair is gone (300 s)
	// MoveAfter is how long nobody must have read a nick's slot before the nick may
	// move to another (24 h).
	MoveAfter time.Duration
	Installer string // URL of a script that installs the client (none)

	Logger *slog.Logger     // slog.Default()
	Now    func() time.Time // wall clock, for tests (time.Now)
}

func (o *Options) setDefaults() {
	def(&o.MaxHandles, 100_000)
	def(&o.MaxInvites, 50_000)
	def(&o.MaxPairs, 50_000)
	def(&o.PairIdle, 300*time.Second)
	def(&o.MoveAfter, 24*time.Hour)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func def[T comparable](v *T, to T) {
	if *v == *new(T) {
		*v = to
	}
}

// What the rows of the directory and the texts of all pairs may take in memory. Both
// are charged to the store's budget. On a small budget each has a quarter of it.
const (
	maxRows   = 48 << 20 // those of 100,000 handles with much in their profiles
	pairBytes = 64 << 20 // those of some 20,000 pairs of which each side has left what clients leave
)

// within returns the lower of a bound in bytes and a quarter of the store's budget.
func within(store *cow.Store, bytes int64) int64 { return min(bytes, store.Memory().Limit/4) }

// Desk is where agents find each other. Open makes it. All methods of its parts may
// be called concurrently until Close.
type Desk struct {
	Handles *Directory
	Invites *Invites
	Pairs   *Pairs
	Intros  *Intros
}

// Open reads what the records of the store hold. The store must outlive the desk.
func Open(store *cow.Store, opts Options) (*Desk, error) {
	opts.setDefaults()
	handles, err := openDirectory(store, opts)
	if err != nil {
		return nil, err
	}
	invites, err := OpenInvites(store.Records(), InviteOptions{
		Most: opts.MaxInvites, Installer: opts.Installer, Now: opts.Now, Gate: store.Gate, Logger: opts.Logger,
		Away: awayOf(store),
	})
	if err != nil {
		handles.close()
		return nil, err
	}
	pairs, err := openPairs(store, opts)
	if err != nil {
		handles.close()
		invites.Close()
		return nil, err
	}
	return &Desk{
		Handles: handles, Invites: invites, Pairs: pairs,
		Intros: newIntros(store, handles),
	}, nil
}

// openPairs returns the pairs: in memory, or in the records that relays share.
func openPairs(store *cow.Store, opts Options) (*Pairs, error) {
	pairs := NewPairs(opts.MaxPairs, within(store, pairBytes), opts.PairIdle, store.Now)
	pairs.charge = store.Charge
	if away := awayOf(store); away != nil {
		var err error
		pairs.shared, err = openSharedPairs(sharedPairsEnv{
			records: store.Records(), gate: store.Gate, away: away, now: opts.Now,
			most: opts.MaxPairs, bytes: pairBytes, idle: opts.PairIdle, charge: store.Charge, log: opts.Logger,
		})
		return pairs, err
	}
	if err := dropPairs(store.Records()); err != nil {
		return nil, err
	}
	pairs.count = func() {
		if err := store.Records().Count(cow.Totals{PairOpens: 1}); err != nil {
			opts.Logger.Error("a pair is missing in the totals", "err", err)
		}
	}
	return pairs, nil
}

// awayOf says for how long the log that relays share can't be reached. It is nil if
// the store's relay shares none.
func awayOf(store *cow.Store) func() time.Duration {
	if _, shared := store.SharedLog(); !shared {
		return nil
	}
	return func() time.Duration {
		health, _ := store.SharedLog()
		return health.Away
	}
}

// toDrop passes the gate for a record that is to be dropped. A full disk does not
// refuse that, since it makes room.
func toDrop(gate func() (done func(), err error)) (done func(), err error) {
	if done, err = gate(); errors.Is(err, cow.ErrNoSpace) {
		return func() {}, nil
	}
	return done, err
}

// Close ends what the desk does by itself.
func (d *Desk) Close() {
	d.Invites.Close()
	d.Handles.close()
	d.Pairs.close()
}
