package rendezvous

import (
	"errors"
	"hash/maphash"
	"sync/atomic"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card"
	"cowrelay/cow/rate"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// How many introductions there may be.
var (
	// A nick takes so many from one source, and so many from one DID.
	introLimit = rate.Limit{Every: time.Minute, Burst: 5}
	// A nick takes so many in all.
	introCeiling = rate.Limit{Every: time.Second, Burst: 300}
)

// introKeys is how many sources, DIDs and nicks are known at once. Each takes some
// 100 bytes. Those that asked least are forgotten first.
const introKeys = 50_000

// introReserve is how many bytes of a slot introductions leave to those who have its
// token. Anybody may introduce himself, so in time strangers could fill a slot.
const introReserve = 8 << 20

// introKind is the kind of an event that introduces an agent.
const introKind = "1100"

// NotIntroError says that an event is not an introduction. Kind and Type are JSON as
// it came, null if it was absent or too long to be repeated.
type NotIntroError struct{ Kind, Type string }

func (e *NotIntroError) Error() string {
	return "rendezvous: not an introduction: kind must be 1100, and type pair_drop or agent_card"
}

// TooOftenError says that a nick takes no more introductions now.
type TooOftenError struct {
	Wait time.Duration // until it takes the next one
	Of   string        // whose limit it is: "source", "did" or "nick"
}

func (e *TooOftenError) Error() string {
	return "rendezvous: too many introductions of one " + e.Of + " to this nick"
}

// ErrNoCard says that an introduction has no card in its body.
var ErrNoCard = errors.New("rendezvous: the introduction has no card")

// ErrBlocked says that the operator has blocked the nick's slot.
var ErrBlocked = errors.New("rendezvous: the nick's slot is blocked")

// IntroStats count what happened since the start. All fields may be read at any
// time.
type IntroStats struct {
	Dropped, Duplicate     atomic.Uint64
	Invalid                atomic.Uint64 // not an introduction, or it does not verify
	BySource, ByDID, Total atomic.Uint64 // refused by a limit
}

// Intros brings introductions of agents to other agents, who need not know them. It
// checks all that can be checked before it counts anything. So what does not verify
// fills nobody's limit.
//
// newIntros makes it. All methods may be called concurrently.
type Intros struct {
	store   *cow.Store
	handles *Directory
	seed    maphash.Seed // of the hashes of DIDs

	bySource *rate.Limiter[introKey]
	byDID    *rate.Limiter[introKey]
	byNick   *rate.Limiter[string]
	Stats    IntroStats
}

// introKey is somebody who introduces himself to a nick. Two DIDs with the same hash
// share a limit; the seed is secret, so that nobody can look for them.
type introKey struct {
	nick string
	from uint64 // a source, or the hash of a DID
}

func newIntros(store *cow.Store, handles *Directory) *Intros {
	return &Intros{
		store: store, handles: handles, seed: maphash.MakeSeed(),
		bySource: rate.NewLimiter[introKey](introLimit, introKeys),
		byDID:    rate.NewLimiter[introKey](introLimit, introKeys),
		byNick:   rate.NewLimiter[string](introCeiling, introKeys),
	}
}

// Drop puts the accepted event of a post into the slot of a nick, if it is an
// introduction. Errors, in this order: ErrNoHandle, *NotIntroError, ErrNoCard,
// card.ErrInvalid, ErrBlocked, cow.ErrSlotFull, *TooOftenError, and those of the post.
func (n *Intros) Drop(nick string, from Source, post *cow.Post) (duplicate bool, err error) {
	id, ok := n.handles.Slot(nick)
	if !ok {
		return false, ErrNoHandle
	}
	by, event, err := checkIntro(post.JSON())
	if err != nil {
		n.Stats.Invalid.Add(1)
		return false, err
	}
	slot := n.store.Slot(id)
	switch {
	case slot == nil:
		return false, cow.ErrNoSlot
	case slot.Blocked():
		return false, ErrBlocked
	}
	giveBack, err := func() {}, error(cow.ErrSlotFull)
	if slot.Bytes()+uint64(len(post.JSON())) <= cow.MaxSlotBytes-introReserve {
		giveBack, err = n.allow(nick, from, by.DID)
	}
	if err != nil {
		// What is there already counts nothing. A slot is not loaded to find out.
		if n.store.Holds(slot, []byte(event.ID)) {
			n.Stats.Duplicate.Add(1)
			return true, nil
		}
		return false, err
	}
	duplicate, err = post.Commit(slot)
	switch {
	case err != nil:
	case duplicate:
		giveBack()
		n.Stats.Duplicate.Add(1)
	default:
		n.Stats.Dropped.Add(1)
	}
	return duplicate, err
}

// allow takes one introduction from each of the limits. giveBack returns them. What
// is refused counts against the source alone.
func (n *Intros) allow(nick string, from Source, did string) (giveBack func(), err error) {
	now := n.store.Now()
	source, agent := introKey{nick, uint64(from)}, introKey{nick, maphash.String(n.seed, did)}
	if from != 0 {
		if ok, wait := n.bySource.Allow(source, now); !ok {
			n.Stats.BySource.Add(1)
			return nil, &TooOftenError{wait, "source"}
		}
	}
	if ok, wait := n.byDID.Allow(agent, now); !ok {
		n.Stats.ByDID.Add(1)
		return nil, &TooOftenError{wait, "did"}
	}
	if ok, wait := n.byNick.Allow(nick, now); !ok {
		n.byDID.Return(agent)
		n.Stats.Total.Add(1)
		return nil, &TooOftenError{wait, "nick"}
	}
	return func() {
		if from != 0 {
			n.bySource.Return(source)
		}
		n.byDID.Return(agent)
		n.byNick.Return(nick)
	}, nil
}

// checkIntro looks at the event alone: whether it introduces an agent, and whether
// that agent has signed it and says so.
func checkIntro(doc []byte) (card.Card, card.Event, error) {
	var in struct {
		Kind jsontext.Value `json:"kind"`
		Type jsontext.Value `json:"type"`
		Body jsontext.Value `json:"body"`
	}
	var body struct {
		Card jsontext.Value `json:"card"`
	}
	again := jsontext.AllowDuplicateNames(true) // below the top level the last one counts
	if err := json.Unmarshal(doc, &in, again); err != nil {
		return card.Card{}, card.Event{}, &NotIntroError{"null", "null"}
	}
	if name, _ := Text(in.Type); string(in.Kind) != introKind || name != "pair_drop" && name != "agent_card" {
		return card.Card{}, card.Event{}, &NotIntroError{Kind: short(in.Kind), Type: short(in.Type)}
	}
	if in.Body.Kind() != '{' || json.Unmarshal(in.Body, &body, again) != nil || body.Card == nil {
		return card.Card{}, card.Event{}, ErrNoCard
	}
	by, err := card.Verify(body.Card)
	if err != nil {
		return card.Card{}, card.Event{}, err
	}
	event, err := card.VerifyEvent(doc, by)
	return by, event, err
}

// short returns a value that may be repeated in an error: a short text or number.
func short(value jsontext.Value) string {
	if k := value.Kind(); k != '"' && k != '0' || len(value) > 64 {
		return "null"
	}
	return string(value)
}
