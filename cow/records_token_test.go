package cow_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
	"cowrelay/cow/token"
)

// tokenSlot makes a slot with its two tokens.
func (f *fixture) tokenSlot() (slot *cow.Slot, slotToken, owner string) {
	f.Helper()
	id, slotToken, owner, err := f.Allocate()
	if err != nil {
		f.Fatal(err)
	}
	return f.Slot(id), slotToken, owner
}

// grant is what a token's text allows now.
func grant(slot *cow.Slot, text string) cow.Grant {
	return slot.Authorize(cow.HashToken([]byte(text)), time.Now().Unix())
}

// give makes a further token.
func (f *fixture) give(slot *cow.Slot, may token.Right, life time.Duration) (text string, id token.ID) {
	f.Helper()
	rec := token.Record{May: may, Created: time.Now().Unix(), Note: "a note"}
	if life != 0 {
		rec.Expires = rec.Created + int64(life/time.Second)
	}
	text, err := f.NewToken(slot, &rec, false)
	if err != nil {
		f.Fatal(err)
	}
	return text, rec.ID
}

func (f *fixture) tokenRecords() (n int) {
	f.Helper()
	err := f.Records().List(token.Prefix, func(string, []byte, uint64) error { n++; return nil })
	if err != nil {
		f.Fatal(err)
	}
	return n
}

// What each token may do, before and after a restart; and what none may do any more.
func TestTokens_Rights(t *testing.T) {
	f := open(t, cow.Options{})
	slot, first, owner := f.tokenSlot()
	other, _, _ := f.tokenSlot()
	post, _ := f.give(slot, token.Post, 0)
	read, _ := f.give(slot, token.Read, time.Hour)
	both, _ := f.give(slot, token.Post|token.Read, 2*time.Hour)
	gone, goneID := f.give(slot, token.Post, 0)
	if err := f.Revoke(other, goneID); !errors.Is(err, cow.ErrNoToken) {
		t.Errorf("another slot's token was revoked: %v", err)
	}
	heldGone, heldFirst, heldOwner := grant(slot, gone), grant(slot, first), grant(slot, owner)
	live := f.subscribe(slot, false, "")
	defer live.Close()
	woken := func(by string) {
		t.Helper()
		select {
		case <-live.bell:
		case <-time.After(time.Minute):
			t.Errorf("%s does not wake who reads", by)
		}
	}
	if !heldGone.Live() || !heldFirst.Live() || !heldOwner.Live() {
		t.Fatal("a token is dead too early")
	}
	if err := f.Revoke(slot, goneID); err != nil {
		t.Fatal(err)
	}
	woken("a revocation")
	if err := f.Revoke(slot, goneID); !errors.Is(err, cow.ErrNoToken) {
		t.Errorf("revoked twice: %v", err)
	}
	second, err := f.Rotate(slot)
	if err != nil {
		t.Fatal(err)
	}
	woken("a rotation")
	heldSecond := grant(slot, second)
	third, err := f.Rotate(slot)
	if err != nil {
		t.Fatal(err)
	}
	newOwner, err := f.SetOwner(slot)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range []cow.Grant{heldGone, heldFirst, heldSecond, heldOwner} {
		if g.Live() {
			t.Errorf("grant %d lives on", i)
		}
	}
	for round := range 2 {
		for text, want := range map[string]token.Right{
			third: token.OfSlot, newOwner: token.OfOwner, post: token.Post, read: token.Read, both: token.Post | token.Read,
			first: 0, second: 0, owner: 0, gone: 0, "": 0, strings.ToUpper(third): 0,
		} {
			g := grant(slot, text)
			for r := token.Post; r <= token.Owner; r <<= 1 {
				if g.May(r) != want.Has(r) {
					t.Errorf("round %d: token %.6s may %s: %v", round, text, r, g.May(r))
				}
			}
			if g.OK() != (want != 0) || g.Live() != g.OK() || g.Ticket() != (text == read) {
				t.Errorf("round %d: token %.6s: %v, %v, %v", round, text, g.OK(), g.Live(), g.Ticket())
			}
			if text != "" && grant(other, text).OK() {
				t.Errorf("round %d: token %.6s is good for another slot", round, text)
			}
		}
		if list := f.Tokens(slot); len(list) != 3 || list[0].Note != "a note" {
			t.Errorf("round %d: %d tokens", round, len(list))
		}
		f = f.restart()
		slot, other = f.Slot(slot.ID()), f.Slot(other.ID())
	}
	if f.Memory().Desk == 0 {
		t.Error("tokens cost nothing")
	}
	// No secret is in a record.
	f.Records().List("", func(key string, value []byte, _ uint64) error {
		for _, text := range []string{first, second, third, owner, newOwner, post, read, both, gone} {
			if strings.Contains(key+string(value), text[:16]) {
				t.Errorf("record %s holds a token", key)
			}
		}
		return nil
	})
	if err := f.Remove(slot); err != nil {
		t.Fatal(err)
	}
	f.until("the tokens of a removed slot are dropped", func() bool { return f.tokenRecords() == 0 })
	if n, bytes := f.TokenStats(); n != 0 || bytes != 0 || f.Memory().Desk != 0 {
		t.Errorf("%d tokens of %d bytes are left, %d on the budget", n, bytes, f.Memory().Desk)
	}
	if _, err := f.Rotate(slot); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("rotation of a removed slot: %v", err)
	}
}

// A token's time is over for new requests at once, and for those that it let in and
// on disk soon after.
func TestTokens_Expire(t *testing.T) {
	f := open(t, cow.Options{})
	slot, _, _ := f.tokenSlot()
	text, id := f.give(slot, token.Read, 2*time.Second)
	g := grant(slot, text)
	if !g.Live() || !g.Ticket() {
		t.Fatal("the token is no live ticket")
	}
	live := f.subscribe(slot, false, "")
	defer live.Close()
	if slot.Authorize(cow.HashToken([]byte(text)), time.Now().Unix()+2).OK() {
		t.Error("a token is good behind its time")
	}
	f.until("the grant is dead", func() bool { return !g.Live() })
	select {
	case <-live.bell:
	case <-time.After(time.Minute):
		t.Error("the end of a token does not wake who reads")
	}
	if err := f.Revoke(slot, id); !errors.Is(err, cow.ErrNoToken) {
		t.Errorf("revocation of what is over: %v", err)
	}
	f.until("the record is dropped", func() bool { return f.tokenRecords() == 0 })
	f.until("memory forgets it", func() bool { n, _ := f.TokenStats(); return n == 0 })
}

// A slot that was made before there were owners gets one from the operator.
func TestTokens_OwnerLater(t *testing.T) {
	m := journaltest.NewMemory()
	id, text := cow.NewID(), cow.HashToken([]byte("t"))
	groups := []cow.Group{{Op: cow.OpCreate, Slot: id, Token: text}}
	m.Commit(groups)
	f := openOn(t, m, cow.Options{})
	slot := f.Slot(id)
	if slot.HasOwner() || slot.Authorize(cow.TokenHash{}, 0).OK() || !slot.Authorize(text, 0).May(token.OfSlot) || slot.Authorize(text, 0).May(token.Owner) {
		t.Error("the slot has an owner, or not its token")
	}
	owner, err := f.SetOwner(slot)
	if err != nil || !slot.HasOwner() || !grant(slot, owner).May(token.OfOwner) {
		t.Errorf("it got no owner: %v", err)
	}
}

// Whoever asks at once: as many get one as there are places, of either kind.
func TestTokens_ManyAtOnce(t *testing.T) {
	m := journaltest.NewMemory()
	f := openOn(t, m, cow.Options{})
	slot, _, _ := f.tokenSlot()
	var made, refused, tickets, ticketsRefused atomic.Int64
	var wg sync.WaitGroup
	texts := make(chan string, 2000)
	for i := range 1300 {
		wg.Go(func() {
			rec := token.Record{May: token.Read, Created: time.Now().Unix(), Expires: time.Now().Unix() + 3600}
			ticket := i%8 == 0
			for {
				text, err := f.NewToken(slot, &rec, ticket)
				switch {
				case errors.Is(err, cow.ErrBusy):
					continue
				case err == nil && ticket:
					tickets.Add(1)
				case err == nil:
					made.Add(1)
				case ticket && errors.Is(err, token.ErrManyTickets):
					ticketsRefused.Add(1)
					return
				case errors.Is(err, token.ErrMany):
					refused.Add(1)
					return
				default:
					t.Error(err)
					return
				}
				texts <- text
				return
			}
		})
	}
	wg.Wait()
	close(texts)
	if made.Load() != token.MostTokens || tickets.Load() != token.MostTickets || refused.Load() != 1300-163-1000 || ticketsRefused.Load() != 63 {
		t.Errorf("%d tokens and %d tickets, %d and %d refused", made.Load(), tickets.Load(), refused.Load(), ticketsRefused.Load())
	}
	if n := f.tokenRecords(); n != token.MostTokens+token.MostTickets {
		t.Errorf("%d records", n)
	}
	f = f.restart()
	slot = f.Slot(slot.ID())
	for text := range texts {
		if !grant(slot, text).May(token.Read) {
			t.Fatal("a token that was given is not good")
		}
	}
	list := f.Tokens(slot)
	if _, err := f.NewToken(slot, &token.Record{May: token.Post}, false); !errors.Is(err, token.ErrMany) || len(list) != 1100 {
		t.Errorf("one more behind a restart, with %d: %v", len(list), err)
	}
	// The one that was taken back leaves its place.
	for _, tk := range list {
		if tk.Place < token.MostTokens {
			if err := f.Revoke(slot, tk.ID); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if _, err := f.NewToken(slot, &token.Record{May: token.Post}, false); err != nil {
		t.Errorf("one more in place of one revoked: %v", err)
	}
}

// holding are records whose watch tells of changes later, as that of a log does which
// others write to. pass lets what is held through.
type holding struct {
	*journaltest.Memory
	mu   sync.Mutex
	held []func()
	hold bool
}

func (h *holding) Watch(prefix string, changed func(string, []byte, uint64)) (stop func()) {
	return h.Memory.Watch(prefix, func(key string, value []byte, version uint64) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.hold {
			changed(key, value, version)
			return
		}
		h.held = append(h.held, func() { changed(key, value, version) })
	})
}

func (h *holding) pass() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.held {
		f()
	}
	h.held, h.hold = nil, false
}

// Two relays over the same records: together they make as many tokens as a slot may
// have, also while one hears late of what the other does. What one takes back or
// replaces is dead at the other.
func TestTokens_TwoRelays(t *testing.T) {
	id, slotText, ownerText := cow.NewID(), "slot token", "owner's token"
	create := cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken([]byte(slotText)), Owner: cow.HashToken([]byte(ownerText))}
	records := journaltest.NewMemory()
	late := &holding{Memory: records, hold: true}
	var stores [2]*cow.Store
	var slots [2]*cow.Slot
	for i := range stores {
		m := journaltest.NewMemory()
		m.Commit([]cow.Group{create})
		var r cow.Records = records
		if i == 1 {
			r = late
		}
		s, err := cow.Open(m, r, cow.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		stores[i], slots[i] = s, s.Slot(id)
	}
	var made, full atomic.Int64
	var wg sync.WaitGroup
	for i := range 1400 {
		wg.Go(func() {
			for {
				rec := token.Record{May: token.Read, Created: time.Now().Unix()}
				switch _, err := stores[i%2].NewToken(slots[i%2], &rec, false); {
				case err == nil:
					made.Add(1)
				case errors.Is(err, token.ErrMany):
					full.Add(1)
				case errors.Is(err, cow.ErrBusy):
					continue
				default:
					t.Error(err)
				}
				return
			}
		})
	}
	wg.Wait()
	if made.Load() != token.MostTokens || full.Load() != 1400-token.MostTokens {
		t.Errorf("%d tokens were made, %d refused", made.Load(), full.Load())
	}
	late.pass()
	for i, s := range stores {
		if n := len(s.Tokens(slots[i])); n != token.MostTokens {
			t.Errorf("relay %d knows %d tokens", i, n)
		}
	}
	// One takes back, the other hears of it.
	list := stores[0].Tokens(slots[0])
	if err := stores[1].Revoke(slots[1], list[0].ID); err != nil {
		t.Fatal(err)
	}
	if !list[0].Dead() {
		t.Error("a token lives on where another relay made it")
	}
	// Both take the same one back: one succeeds.
	late.hold = true
	if err := stores[0].Revoke(slots[0], list[1].ID); err != nil {
		t.Fatal(err)
	}
	if err := stores[1].Revoke(slots[1], list[1].ID); !errors.Is(err, cow.ErrNoToken) {
		t.Errorf("revoked where another relay was faster: %v", err)
	}
	late.pass()
	held := grant(slots[1], slotText)
	newer, err := stores[0].Rotate(slots[0])
	if err != nil || held.Live() || grant(slots[1], slotText).OK() || !grant(slots[1], newer).May(token.OfSlot) || !grant(slots[1], ownerText).May(token.OfOwner) {
		t.Errorf("a rotation by another relay: %v", err)
	}
	newest, err := stores[1].Rotate(slots[1])
	if err != nil || grant(slots[0], newer).OK() || !grant(slots[0], newest).May(token.OfSlot) {
		t.Errorf("a rotation behind another relay's: %v", err)
	}
}

// A relay that hears of a token before it knows the slot keeps the record, and knows
// the token when it knows the slot.
func TestTokens_BeforeTheSlot(t *testing.T) {
	m := journaltest.NewMemory()
	id, text := cow.NewID(), "further"
	hash := cow.HashToken([]byte(text))
	rec := token.Record{ID: token.NewID(), Hash: hash, May: token.Post}
	gone := token.Key(cow.NewID(), 3) // of a slot that is not there
	for _, key := range []string{token.Key(id, 3), gone} {
		if _, err := m.Put(key, rec.Encode(), 0, cow.Totals{}); err != nil {
			t.Fatal(err)
		}
	}
	f := openOn(t, m, cow.Options{})
	m.ForeignCreate(id, cow.HashToken([]byte("slot")))
	f.until("the slot is known", func() bool { return f.Slot(id) != nil })
	f.until("its token is good", func() bool { return f.Slot(id).Authorize(hash, 1).May(token.Post) })
	f.until("the record of no slot is dropped", func() bool {
		_, _, err := m.Value(gone)
		return errors.Is(err, cow.ErrNoRecord)
	})
}

// What a check costs beside the token's hash, with as many tokens as a slot may have
// and with none.
func BenchmarkAuthorize(b *testing.B) {
	for _, n := range []int{0, token.MostTokens} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			f := open(b, cow.Options{})
			slot, text, _ := f.tokenSlot()
			for range n {
				text, _ = f.give(slot, token.Post, 0)
			}
			hash, now := cow.HashToken([]byte(text)), time.Now().Unix()
			b.ReportAllocs()
			for b.Loop() {
				if !slot.Authorize(hash, now).OK() {
					b.Fatal("a token is not good")
				}
			}
		})
	}
}
