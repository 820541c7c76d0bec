package rendezvous

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow"
)

// How long an invite lives if nobody says, at least and at most.
const (
	DefaultInviteLife = 24 * time.Hour
	MinInviteLife     = time.Minute
	MaxInviteLife     = 7 * 24 * time.Hour
)

// Errors of Invites, beside those of the records and of the gate.
var (
	ErrNoInvite   = errors.New("rendezvous: no such invite")
	ErrInviteGone = errors.New("rendezvous: the invite is expired or used up")
	ErrInviteURL  = errors.New("rendezvous: not the URL of an invite")
	ErrLongInvite = errors.New("rendezvous: the URL of the invite is too long")
	ErrNoUses     = errors.New("rendezvous: an invite without uses")
)

// InviteOptions are the limits of Invites. All must be set but Installer and Away.
type InviteOptions struct {
	Most      int              // that are live at once
	Installer string           // URL of a script that installs the client; empty: there is none
	Now       func() time.Time // wall clock
	// Gate is asked before a record is written for a client; see cow.Store.Gate.
	Gate   func() (done func(), err error)
	Logger *slog.Logger
	// Away, if set, is for how long the log can't be reached that relays share. All of
	// them drop the records of invites then, and not at the same time.
	Away func() time.Duration
}

// InviteStats count what happened since the start. All fields may be read at any
// time.
type InviteStats struct {
	Registered atomic.Uint64
	Refused    atomic.Uint64 // registrations: too many, or a share was used up
	Fetched    atomic.Uint64 // scripts and URLs
	Gone       atomic.Uint64 // asked for when expired or used up
	Unknown    atomic.Uint64
	Revoked    atomic.Uint64 // by the operator
	Swept      atomic.Uint64 // records that were dropped because their time was over
}

// Invites hands out scripts that accept an invite. Each invite is a record. The
// records decide how often an invite may still be used, by compare-and-set. Memory
// holds which invites there are and whose they are, but not their URLs.
//
// OpenInvites makes it. All methods may be called concurrently.
type Invites struct {
	opts    InviteOptions
	records cow.Records
	Stats   InviteStats

	// using holds those back that use the same invite, so that not all of them
	// write and all but one fail. It decides nothing.
	using [64]sync.Mutex
	seed  maphash.Seed

	books   inviteBooks
	unwatch func()
	stop    chan struct{} // closed by Close
	ended   chan struct{} // closed when the sweeps have ended
}

// OpenInvites reads the records and begins to sweep them.
func OpenInvites(records cow.Records, opts InviteOptions) (*Invites, error) {
	v := &Invites{
		opts: opts, records: records, seed: maphash.MakeSeed(),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	v.books.init(opts.Most)
	v.unwatch = records.Watch(invitePrefix, func(key string, value []byte, _ uint64) { v.note(key, value) })
	err := records.List(invitePrefix, func(key string, value []byte, _ uint64) error {
		v.note(key, value)
		return nil
	})
	if err != nil {
		v.unwatch()
		return nil, fmt.Errorf("cannot read the invites: %w", err)
	}
	go v.sweeps()
	return v, nil
}

// Close ends the sweeps.
func (v *Invites) Close() {
	close(v.stop)
	<-v.ended
	v.unwatch()
}

// Len returns how many invites are live.
func (v *Invites) Len() int { return v.books.len(v.opts.Now()) }

// Register keeps an invite, durably. A life out of bounds becomes the nearest that
// is allowed. uses is nil for an invite that may be used without end. Errors:
// ErrInviteURL, ErrLongInvite, ErrNoUses, ErrTooMany, ErrShare.
func (v *Invites) Register(source Source, url string, life time.Duration, uses *int64) (Invite, error) {
	switch {
	case len(url) > MaxInviteURL:
		return Invite{}, ErrLongInvite
	case !ValidInviteURL(url):
		return Invite{}, ErrInviteURL
	case uses != nil && *uses < 1:
		return Invite{}, ErrNoUses
	}
	done, err := v.opts.Gate()
	if err != nil {
		return Invite{}, err
	}
	defer done()
	now := v.opts.Now().Truncate(time.Second)
	invite := Invite{URL: url, Expires: now.Add(min(max(life, MinInviteLife), MaxInviteLife)), Created: now, Uses: uses, By: source}
	for {
		invite.Token = newInviteToken()
		if err := v.books.reserve(&invite, now); err != nil {
			v.Stats.Refused.Add(1)
			return Invite{}, err
		}
		_, err := v.records.Put(InviteKey(invite.Token), invite.Encode(), 0, cow.Totals{})
		switch {
		case err == nil:
			v.Stats.Registered.Add(1)
			return invite, nil
		case !errors.Is(err, cow.ErrConflict):
			v.books.forget(invite.Token)
			return Invite{}, err
		}
		// Another invite has the token: its record stays noted.
	}
}

// URL returns the URL of an invite and uses none up. Errors: ErrNoInvite,
// ErrInviteGone.
func (v *Invites) URL(token string) (string, error) {
	invite, _, err := v.read(token)
	return invite.URL, v.count(err)
}

// Script returns a shell script that accepts the invite, and uses the invite up
// once, durably, unless peek is set. Errors: ErrNoInvite, ErrInviteGone.
//
// If the relay ends before it has answered, the use is gone and nobody has the
// script. The other way round, two could have it.
func (v *Invites) Script(token string, peek bool) ([]byte, error) {
	invite, _, err := v.read(token)
	if err == nil && invite.Uses != nil && !peek {
		invite, err = v.use(token)
	}
	if v.count(err) != nil {
		return nil, err
	}
	return inviteScript(invite.URL, v.opts.Installer), nil
}

// use takes one use of an invite, and returns the invite as it was before.
func (v *Invites) use(token string) (Invite, error) {
	mu := &v.using[maphash.String(v.seed, token)%uint64(len(v.using))]
	mu.Lock()
	defer mu.Unlock()
	// Behind the lock: whoever waits for one invite must take no place of those who
	// write other records.
	done, err := v.opts.Gate()
	if err != nil {
		return Invite{}, err
	}
	defer done()
	for {
		invite, version, err := v.read(token)
		if err != nil || invite.Uses == nil {
			return invite, err
		}
		next, left := invite, *invite.Uses-1
		next.Uses = &left
		if left == 0 { // nobody may have the URL any more, and the time of the record ends sooner
			next.URL, next.Expires = "", v.opts.Now()
		}
		if _, err := v.records.Put(InviteKey(token), next.Encode(), version, cow.Totals{}); !errors.Is(err, cow.ErrConflict) {
			return invite, err
		}
	}
}

// read returns a live invite. What memory knows to be over costs no look into the
// records. What it does not know does: another relay may have just made it.
func (v *Invites) read(token string) (Invite, uint64, error) {
	now := v.opts.Now()
	if !ValidToken(token) {
		return Invite{}, 0, ErrNoInvite
	}
	if v.books.over(token, now) {
		return Invite{}, 0, ErrInviteGone
	}
	value, version, err := v.records.Value(InviteKey(token))
	if errors.Is(err, cow.ErrNoRecord) {
		return Invite{}, 0, ErrNoInvite
	}
	if err != nil {
		return Invite{}, 0, err
	}
	invite, err := DecodeInvite(token, value)
	if err == nil && invite.over(now) {
		err = ErrInviteGone
	}
	return invite, version, err
}

// count counts a fetch by its outcome.
func (v *Invites) count(err error) error {
	switch {
	case err == nil:
		v.Stats.Fetched.Add(1)
	case errors.Is(err, ErrInviteGone):
		v.Stats.Gone.Add(1)
	case errors.Is(err, ErrNoInvite):
		v.Stats.Unknown.Add(1)
	}
	return err
}

// note keeps memory in step with a record. A nil value is a record that is gone.
func (v *Invites) note(key string, value []byte) {
	token := key[len(invitePrefix):]
	if value == nil {
		v.books.forget(token)
		return
	}
	invite, err := DecodeInvite(token, value)
	if err != nil { // it stays as it is, and those who ask for it get an error
		v.opts.Logger.Error("the record of an invite can't be read", "err", err)
		return
	}
	v.books.note(&invite, v.opts.Now())
}

// over says whether the invite can't be used any more.
func (i *Invite) over(now time.Time) bool {
	return i.Uses != nil && *i.Uses == 0 || !now.Before(i.Expires)
}

func newInviteToken() string {
	var token [8]byte
	rand.Read(token[:])
	return hex.EncodeToString(token[:])
}
