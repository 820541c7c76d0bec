package rendezvous

import (
	"container/heap"
	"sync"
	"time"

	"cowrelay/cow/share"
)

// keepOver is how long an invite that is over is still known, so that those who
// come late hear that it was there.
const keepOver = 24 * time.Hour

// inviteBooks are what memory holds of invites: when each ends, and whose it is.
// An invite goes through up to three states:
//
//	live ──► over: expired or used up ──► leaving: its record is being dropped
//
// One source may have a quarter of the live ones. Of those that are over there are
// at most as many as may be live. Beyond that the source that has the most of them
// loses its oldest first.
type inviteBooks struct {
	most int

	mu      sync.Mutex // guards all that follows, and the entries
	byToken map[string]*inviteEntry
	due     dueHeap[*inviteEntry] // the live ones and those that are over
	live    int
	overs   int
	leaving []string // tokens of records to drop; taken by the sweeps

	// Both ledgers have a lock of their own, taken under mu.
	shares *share.Ledger[Source] // live ones
	past   *share.Ledger[Source] // those that are over
}

// inviteEntry is one invite.
type inviteEntry struct {
	token    string
	by       Source
	state    inviteState
	deadline // when it leaves its state
	place    share.Holder[Source]
}

type inviteState uint8

const (
	inviteLive inviteState = iota
	inviteOver
	inviteLeaving
)

func (b *inviteBooks) init(most int) {
	b.most, b.byToken = most, make(map[string]*inviteEntry)
	b.shares = share.New[Source](int64(most), max(1, int64(most)/4))
	b.past = share.New[Source](int64(most)+1, 0)
}

// reserve makes an entry for an invite that is not recorded yet. Errors:
// ErrTooMany, ErrShare.
func (b *inviteBooks) reserve(invite *Invite, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	if b.live >= b.most || len(b.byToken) >= 3*b.most { // or the sweeps don't keep up
		return ErrTooMany
	}
	if b.byToken[invite.Token] != nil { // chance can't bring that about; the record will refuse
		return nil
	}
	e := &inviteEntry{token: invite.Token, by: invite.By}
	if invite.By != 0 && !b.shares.Take(&e.place, invite.By, 1) {
		return ErrShare
	}
	b.add(e, invite.Expires)
	return nil
}

// note makes or changes the entry of a recorded invite. What others have made
// counts in the shares as far as there is room.
func (b *inviteBooks) note(invite *Invite, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.byToken[invite.Token]
	if e == nil {
		e = &inviteEntry{token: invite.Token, by: invite.By}
		if invite.By != 0 {
			b.shares.Take(&e.place, invite.By, 1)
		}
		b.add(e, invite.Expires)
	} else if e.state == inviteLive {
		e.due = invite.Expires.Unix()
		heap.Fix(&b.due, e.at)
	}
	if e.state == inviteLive && invite.over(now) {
		b.end(e)
	}
}

func (b *inviteBooks) add(e *inviteEntry, expires time.Time) {
	e.due = expires.Unix()
	b.byToken[e.token] = e
	heap.Push(&b.due, e)
	b.live++
}

// over says whether an invite is known to be expired or used up.
func (b *inviteBooks) over(token string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.byToken[token]
	return e != nil && (e.state != inviteLive || e.due <= now.Unix())
}

func (b *inviteBooks) len(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	return b.live
}

// inviteDue is a live invite: whose it is, and when it ends in Unix seconds.
type inviteDue struct {
	token string
	by    Source
	due   int64
}

// all returns the live invites, in no order.
func (b *inviteBooks) all(now time.Time) []inviteDue {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	list := make([]inviteDue, 0, b.live)
	for _, e := range b.due {
		if e.state == inviteLive {
			list = append(list, inviteDue{e.token, e.by, e.due})
		}
	}
	return list
}

// forget drops the entry of an invite whose record is gone.
func (b *inviteBooks) forget(token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.byToken[token]
	if e == nil {
		return
	}
	delete(b.byToken, token)
	switch e.state {
	case inviteLive:
		b.live--
		b.shares.Give(&e.place)
		heap.Remove(&b.due, e.at)
	case inviteOver:
		b.overs--
		b.past.Give(&e.place)
		heap.Remove(&b.due, e.at)
	}
}

// takeLeaving returns up to most tokens whose records are to be dropped.
func (b *inviteBooks) takeLeaving(now time.Time, most int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	n := min(len(b.leaving), most)
	tokens := b.leaving[:n:n]
	if b.leaving = b.leaving[n:]; len(b.leaving) == 0 {
		b.leaving = nil
	}
	return tokens
}

// leaveAgain has a record looked at once more that was to be dropped, if it is still
// known.
func (b *inviteBooks) leaveAgain(token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.byToken[token]; e != nil && e.state == inviteLeaving {
		b.leaving = append(b.leaving, token)
	}
}

// putBack returns tokens whose records could not be dropped.
func (b *inviteBooks) putBack(tokens []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving = append(b.leaving, tokens...)
}

// advance moves the entries on whose time has come.
func (b *inviteBooks) advance(now time.Time) {
	for len(b.due) > 0 && b.due[0].due <= now.Unix() {
		if e := b.due[0]; e.state == inviteLive {
			b.end(e)
		} else {
			b.leave(e)
		}
	}
}

// end makes a live entry one that is over.
func (b *inviteBooks) end(e *inviteEntry) {
	b.shares.Give(&e.place)
	b.live--
	b.overs++
	e.state = inviteOver
	e.due += int64(keepOver / time.Second)
	heap.Fix(&b.due, e.at)
	e.place.Owner = e
	b.past.Take(&e.place, e.by, 1)
	if b.overs > b.most {
		if h := b.past.Victim(func(*share.Holder[Source]) bool { return true }); h != nil {
			b.leave(h.Owner.(*inviteEntry))
		}
	}
}

// leave hands an entry that is over to the sweeps.
func (b *inviteBooks) leave(e *inviteEntry) {
	b.past.Give(&e.place)
	heap.Remove(&b.due, e.at)
	b.overs--
	e.state = inviteLeaving
	b.leaving = append(b.leaving, e.token)
}
