package drill

import (
	"context"
	"crypto/rand"
	"fmt"

	"cowrelay/bench/attack/client"
)

const (
	// A slot has at most so many tokens, and so many live tickets.
	slotTokens, slotTickets = 1000, 100
	// tokensGrowth is how much the process may grow by all tokens, in bytes.
	tokensGrowth = 64 << 20
)

// tokensDrill makes tokens and tickets until a slot takes no more, rotates the token
// of a slot all the time, guesses tickets, and tries what a token may not do.
var tokensDrill = Drill{
	Name: "tokens", what: "floods of new tokens, tickets and rotations, guesses of tickets, and tokens that lack a right",
	Variants: func(c Scale) []Variant {
		rate := c.Of(200, 400)
		floods := []*flood{tokens(), tickets(), rotations(), ticketGuesses(), lackingRights()}
		for _, f := range floods {
			f.rate = rate
		}
		return []Variant{{
			Name:   fmt.Sprintf("%d requests a second, %s", rate*len(floods), atOne.name),
			Growth: tokensGrowth,
			Attack: func(ctx context.Context, r *Scene, armed func()) error {
				return slotFloods(ctx, r, armed, 1, floods)
			},
			During: func(_ context.Context, r *Scene) {
				for _, f := range floods {
					if !f.open {
						f.bar(r)
					}
				}
				noStrangeAnswers(r, floods)
			},
		}}
	},
}

// tokens makes tokens that may post, by the owner's token.
func tokens() *flood {
	return &flood{name: "tokens", takes: 201, refusals: []int{409, 429}, most: slotTokens, request: func(i int, s client.Slot) (string, string, string, []byte) {
		return "POST", "/v1/slot/" + s.ID + "/tokens", s.Owner, fmt.Appendf(nil, `{"may":["post"],"note":"flood %d"}`, i)
	}}
}

// tickets makes tickets, by the slot's token.
func tickets() *flood {
	return &flood{name: "tickets", takes: 201, refusals: []int{409, 429}, most: slotTickets, request: func(_ int, s client.Slot) (string, string, string, []byte) {
		return "POST", "/v1/slot/" + s.ID + "/tokens", s.Token, []byte(`{"may":["read"],"ttl_seconds":3600}`)
	}}
}

// rotations gives the slot a new token all the time.
func rotations() *flood {
	return &flood{name: "rotations", takes: 201, refusals: []int{429}, open: true, request: func(_ int, s client.Slot) (string, string, string, []byte) {
		return "POST", "/v1/slot/" + s.ID + "/tokens/rotate", s.Owner, nil
	}}
}

// ticketGuesses guesses tickets, of a pull and of a stream.
func ticketGuesses() *flood {
	return &flood{name: "guesses of tickets", takes: 200, refusals: []int{401, 403, 429}, most: -1, request: func(i int, s client.Slot) (string, string, string, []byte) {
		var guess [32]byte
		rand.Read(guess[:])
		path := "/v1/events/" + s.ID
		if i%2 == 0 {
			path += "/stream"
		}
		return "GET", fmt.Sprintf("%s?ticket=%x", path, guess), "", nil
	}}
}

// lackingRights tries with the slot's token what its owner alone may do.
func lackingRights() *flood {
	return &flood{name: "acts without the right", takes: 204, refusals: []int{403, 429}, most: -1, request: func(i int, s client.Slot) (string, string, string, []byte) {
		if i%2 == 0 {
			return "DELETE", "/v1/slot/" + s.ID, s.Token, nil
		}
		return "DELETE", fmt.Sprintf("/v1/slot/%s/tokens/%d", s.ID, i), s.Token, nil
	}}
}
