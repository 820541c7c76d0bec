package call

import (
	"context"
	"encoding/json"
	"fmt"
)

// Block has the operator block a slot through one relay.
func (c *Client) Block(ctx context.Context, relay int, s Slot) *Call {
	k := &Call{Op: Block, Relay: relay, Slot: s.ID}
	c.sendTo(ctx, c.kept, k, c.Admins[relay], "POST", "/admin/v1/slots/"+s.ID+"/block", "", kindJSON, []byte(`{"reason":"chaos"}`))
	c.Rec.Keep(k)
	return k
}

// Unblock lifts the block.
func (c *Client) Unblock(ctx context.Context, relay int, s Slot) *Call {
	k := &Call{Op: Unblock, Relay: relay, Slot: s.ID}
	c.sendTo(ctx, c.kept, k, c.Admins[relay], "POST", "/admin/v1/slots/"+s.ID+"/unblock", "", kindJSON, []byte(`{}`))
	c.Rec.Keep(k)
	return k
}

// Health sets a slot's responder health.
func (c *Client) Health(ctx context.Context, relay int, s Slot, value string) *Call {
	k := &Call{Op: Health, Relay: relay, Slot: s.ID, Value: value}
	c.send(ctx, c.kept, k, "POST", "/v1/slot/"+s.ID+"/responder-health", s.Token, kindJSON, fmt.Appendf(nil, `{"status":%q,"set_at":"2026-01-01T00:00:00Z"}`, value))
	c.Rec.Keep(k)
	return k
}

// State reads a slot's state.
func (c *Client) State(ctx context.Context, relay int, s Slot) *Call {
	k := &Call{Op: State, Relay: relay, Slot: s.ID}
	a := c.send(ctx, c.kept, k, "GET", "/v1/slot/"+s.ID+"/state", s.Token, "", nil)
	if h, ok := a.member("responder_health").(map[string]any); ok {
		k.Value, _ = h["status"].(string)
	}
	c.Rec.Keep(k)
	return k
}

// PairMessage is what a side of a pair sends.
func PairMessage(code, role string) string { return code + " of the " + role }

// Pair opens one side of a pair.
func (c *Client) Pair(ctx context.Context, relay int, code, role string) *Call {
	k := &Call{Op: Pair, Relay: relay, Key: code, Role: role}
	a := c.send(ctx, c.kept, k, "POST", "/v1/pair", "", kindJSON,
		fmt.Appendf(nil, `{"code_hash":%q,"msg":%q,"role":%q}`, code, PairMessage(code, role), role))
	k.Value = a.text("pair_id")
	c.Rec.Keep(k)
	return k
}

// Look reads, as one side of a pair, what the other side sent.
func (c *Client) Look(ctx context.Context, relay int, code, id, role string) *Call {
	k := &Call{Op: Look, Relay: relay, Key: code, Role: role}
	a := c.send(ctx, c.kept, k, "GET", "/v1/pair/"+id+"?as_role="+role, "", "", nil)
	k.Value = a.text("peer_msg")
	c.Rec.Keep(k)
	return k
}

// Totals are counts over the life of a log.
type Totals struct {
	Slots       int `json:"slot_allocations_total"`
	Events      int `json:"events_posted_total"`
	Claims      int `json:"handle_claims_total"`
	FirstClaims int `json:"handle_first_claims_total"`
	Pairs       int `json:"pair_opens_total"`
}

// Totals reads a relay's totals. It is not recorded.
func (c *Client) Totals(ctx context.Context, relay int) (t Totals, err error) {
	k := &Call{Relay: relay}
	a := c.send(ctx, c.kept, k, "GET", "/stats.json", "", "", nil)
	if k.Status != 200 {
		return t, fmt.Errorf("relay %d shows no totals: status %d, %s", relay, k.Status, k.Text)
	}
	return t, json.Unmarshal(a.body, &t)
}
