package meet

import (
	"errors"
	"net/http"
	"strconv"

	"cowrelay/cow"
	"cowrelay/cow/card"
	"cowrelay/cow/event"
	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/refusal"

	"github.com/go-json-experiment/json/jsontext"
)

// Of a claim.
const (
	MaxCard      = 64 << 10  // bytes of a card
	MaxClaimBody = 128 << 10 // bytes of the body that holds it
)

var (
	claimShape  = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "nick and slot_id must be strings, relay_url a string or null, discoverable a boolean or null, and there must be a card"}
	longCard    = &refusal.Reply{Status: http.StatusRequestEntityTooLarge, Text: "the card is too large", Extra: `,"max_bytes":` + strconv.Itoa(MaxCard)}
	noHandle    = &refusal.Reply{Status: http.StatusNotFound, Text: "nobody has claimed this nick"}
	manyHandles = &refusal.Reply{Status: http.StatusServiceUnavailable, Text: "the relay has as many handles as it may", RetryAfter: 60, Why: refusal.Handles}
	shareHandle = &refusal.Reply{Status: http.StatusServiceUnavailable, Text: "the relay has as many handles from your address as it may", RetryAfter: 60, Why: refusal.HandleShares}
)

// Claim gives a nick to an agent. may says whether the bearer of the request may
// act for a slot. It returns the body of a 201.
func Claim(handles *rendezvous.Directory, from rendezvous.Source, body []byte, may func(cow.ID) (*cow.Slot, error)) ([]byte, error) {
	slotID, c, err := readClaim(body)
	if err != nil {
		return nil, err
	}
	if len(c.Card) > MaxCard {
		return nil, longCard
	}
	id, ok := cow.ParseID(slotID)
	if !ok {
		return nil, refusal.UnknownSlot
	}
	slot, err := may(id)
	if err != nil {
		return nil, err
	}
	c.Slot, c.By = slot, from
	did, first, err := handles.Claim(c)
	if err != nil {
		return nil, ofClaim(err, &c)
	}
	status := "re-claimed"
	if first {
		status = "claimed"
	}
	reply := append(make([]byte, 0, 192), `{"nick":"`...)
	reply = append(append(reply, c.Nick...), `","did":`...) // a nick needs no escapes
	if reply, err = jsontext.AppendQuote(reply, did); err != nil {
		panic("BUG: a did that came out of JSON is not UTF-8")
	}
	return append(append(append(reply, `,"status":"`...), status...), `"}`...), nil
}

var claimKeys = []string{"nick", "slot_id", "relay_url", "card", "discoverable"}

// readClaim reads the body of a claim. The card stays a part of it. Of a repeated key
// the last counts. The card goes to other clients as it came, so the body must be fit
// for all parsers.
func readClaim(body []byte) (slot string, c rendezvous.Claim, err error) {
	var values [5]jsontext.Value
	if err := event.CheckMembers(body, claimKeys, values[:]); err != nil {
		return "", c, err
	}
	nick, id, relayURL, discoverable := values[0], values[1], values[2], values[4]
	c.Card = values[3]
	var isNick, isSlot bool
	c.Nick, isNick = rendezvous.Text(nick)
	slot, isSlot = rendezvous.Text(id)
	ok := isNick && isSlot && c.Card != nil
	switch discoverable.Kind() {
	case 't', 'f':
		yes := discoverable.Kind() == 't'
		c.Discoverable = &yes
	case 'n', 0: // as it was
	default:
		ok = false
	}
	switch relayURL.Kind() {
	case '"':
		c.RelayURL, _ = rendezvous.Text(relayURL)
	case 'n', 0:
	default:
		ok = false
	}
	if !ok {
		return "", c, claimShape
	}
	return slot, c, nil
}

// ofClaim is what a client hears of a claim's error.
func ofClaim(err error, c *rendezvous.Claim) error {
	var other *rendezvous.OtherNickError
	var taken *rendezvous.TakenError
	nick := `,"nick":` + quoted(c.Nick)
	switch {
	case errors.Is(err, rendezvous.ErrNick):
		return bad("a nick is 2 to 32 characters of a-z, 0-9, _ and -, and not a reserved word", nick)
	case errors.Is(err, rendezvous.ErrRelayURL):
		return bad("relay_url must be http(s)://host[:port] without path, user and blanks", `,"relay_url":`+quoted(c.RelayURL))
	case errors.Is(err, card.ErrInvalid):
		return bad("the card "+err.Error(), "")
	case errors.As(err, &other):
		return bad("the card's did stands for another nick", nick+`,"expected":`+quoted(other.Expected))
	case errors.As(err, &taken):
		text := "another agent has this nick"
		if taken.InUse {
			text = "this nick's slot is in use; it can move to another when nobody has read it for a while"
		}
		return &refusal.Reply{Status: http.StatusConflict, Text: text, Extra: nick + `,"claimed_by":` + quoted(taken.By)}
	case errors.Is(err, rendezvous.ErrTooMany):
		return manyHandles
	case errors.Is(err, rendezvous.ErrShare):
		return shareHandle
	}
	return err
}

func bad(text, extra string) *refusal.Reply {
	return &refusal.Reply{Status: http.StatusBadRequest, Text: text, Extra: extra}
}

// quoted prints a text that came out of JSON.
func quoted(text string) string {
	out, err := jsontext.AppendQuote(nil, text)
	if err != nil {
		return `""`
	}
	return string(out)
}

// Unclaim gives a nick up. may says whether the bearer of the request may act for a
// slot. It returns the body of a 200.
func Unclaim(handles *rendezvous.Directory, nick string, may func(cow.ID) (*cow.Slot, error)) ([]byte, error) {
	if !card.ValidNick(nick) {
		return nil, bad("this is not a nick", "")
	}
	err := handles.Unclaim(nick, func(h rendezvous.Handle) error {
		_, err := may(h.Slot)
		return err
	})
	if errors.Is(err, rendezvous.ErrNoHandle) {
		return nil, noHandle
	}
	if err != nil {
		return nil, err
	}
	return []byte(`{"nick":"` + nick + `","status":"unclaimed"}`), nil
}
