package honest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// meeting is what honest agents do to find each other: they claim, introduce
// themselves, use invites, and pair.
type meeting struct {
	// anew says that they take what is new, too. Otherwise they have all that they
	// need before the attack.
	anew bool

	proxy  *http.Client
	done   func() // closes its connections
	agent  client.Agent
	slot   client.Slot // the agent's
	invite string      // path of an invite that may be used often
	next   [opKinds]atomic.Int64
	pair   atomic.Pointer[string] // id of a pair that stays open
}

// Where honest agents are, as the proxy says.
const (
	agentAddress = "198.51.100.200"
	guests       = 250 // addresses of guests
)

// Meet has honest agents meet, too.
func (h *Load) Meet(anew bool) {
	m := &meeting{anew: anew, agent: client.NewAgent(client.HonestNick)}
	m.proxy, m.done = client.At(client.ProxyIP, 8)
	h.meeting = m
}

// fillMeeting makes what the agents have before the attack. The relay does not
// know the proxy yet.
func (h *Load) fillMeeting(ctx context.Context) (err error) {
	m := h.meeting
	if m.slot, err = h.relay.Allocate(ctx, h.Kept); err != nil {
		return err
	}
	a, err := h.relay.Meet(ctx, h.Kept, "", "POST", "/v1/handle/claim", m.slot.Token, m.agent.Claim(m.slot))
	if err == nil {
		_, err = a.Member("did", 201)
	}
	if err != nil {
		return fmt.Errorf("cannot claim a nick: %w", err)
	}
	if a, err = h.relay.Meet(ctx, h.Kept, "", "POST", "/v1/invite/register", "", relay.InviteBody("often", 1_000_000)); err == nil {
		m.invite, err = a.Member("path", 201)
	}
	if err != nil {
		return fmt.Errorf("cannot register an invite: %w", err)
	}
	return nil
}

// runMeeting begins what the agents do.
func (h *Load) runMeeting(ctx context.Context) {
	const rate = 2 // a second
	h.every(ctx, rate, opClaim, h.claim)
	h.every(ctx, rate, opIntro, h.introduce)
	h.every(ctx, rate, opInvite, h.fetch)
	h.every(ctx, rate, opPair, h.pairUp)
}

// ask sends a request for an agent and wants a status.
func (h *Load) ask(ctx context.Context, from, method, path, token string, body []byte, status int) (relay.Answer, error) {
	a, err := h.relay.Meet(ctx, h.meeting.proxy, from, method, path, token, body)
	if err == nil && a.Status != status {
		err = fmt.Errorf("%s %s: status %d, want %d: %.200s", method, strings.SplitAfter(path, "/i/")[0], a.Status, status, a.Body)
	}
	return a, err
}

// claim claims the agent's nick again, or another one that it then gives back.
func (h *Load) claim(ctx context.Context, _ time.Time, _ int32) error {
	m := h.meeting
	n := m.next[opClaim].Add(1)
	if !m.anew || n%2 == 0 {
		_, err := h.ask(ctx, agentAddress, "POST", "/v1/handle/claim", m.slot.Token, m.agent.Claim(m.slot), 201)
		return err
	}
	other := client.NewAgent(fmt.Sprint("honest-", n))
	_, err := h.ask(ctx, agentAddress, "POST", "/v1/handle/claim", m.slot.Token, other.Claim(m.slot), 201)
	if err == nil {
		_, err = h.ask(ctx, agentAddress, "DELETE", "/v1/handle/claim/"+other.Nick, m.slot.Token, nil, 200)
	}
	return err
}

// introduce brings an introduction of a guest to the agent, each of another guest.
func (h *Load) introduce(ctx context.Context, _ time.Time, _ int32) error {
	m := h.meeting
	n := int(m.next[opIntro].Add(1))
	guest := client.NewAgent(fmt.Sprintf("guest-%s-%d", h.nonce, n))
	from := fmt.Sprint("203.0.113.", 1+n%guests)
	_, err := h.ask(ctx, from, "POST", "/v1/handle/intro/"+client.HonestNick, "", guest.Introduction(n, true), 201)
	return err
}

// fetch uses an invite.
func (h *Load) fetch(ctx context.Context, _ time.Time, _ int32) error {
	m, path := h.meeting, h.meeting.invite
	if n := m.next[opInvite].Add(1); m.anew && n%2 == 0 {
		a, err := h.ask(ctx, agentAddress, "POST", "/v1/invite/register", "", relay.InviteBody("once", 1), 201)
		if err != nil {
			return err
		}
		if path, err = a.Member("path", 201); err != nil {
			return err
		}
	}
	_, err := h.ask(ctx, agentAddress, "GET", path, "", nil, 200)
	return err
}

// pairUp goes through a pairing.
func (h *Load) pairUp(ctx context.Context, _ time.Time, _ int32) error {
	m := h.meeting
	code := fmt.Sprintf("%s-%d", h.nonce, m.next[opPair].Add(1))
	id := m.pair.Load()
	if m.anew || id == nil {
		a, err := h.ask(ctx, agentAddress, "POST", "/v1/pair", "", relay.PairBody(code, "from the host", "host"), 201)
		if err != nil {
			return err
		}
		made, err := a.Member("pair_id", 201)
		if err != nil {
			return err
		}
		if _, err := h.ask(ctx, agentAddress, "POST", "/v1/pair", "", relay.PairBody(code, "from the guest", "guest"), 201); err != nil {
			return err
		}
		if id = &made; !m.anew {
			m.pair.Store(id)
		}
	}
	if _, err := h.ask(ctx, agentAddress, "POST", "/v1/pair/"+*id+"/bootstrap", "", []byte(`{"role":"host","sealed":"a secret"}`), 201); err != nil {
		return err
	}
	a, err := h.ask(ctx, agentAddress, "GET", "/v1/pair/"+*id+"?as_role=guest", "", nil, 200)
	if err != nil {
		return err
	}
	if sealed, err := a.Member("peer_bootstrap", 200); err != nil || sealed != "a secret" {
		return fmt.Errorf("the guest finds %q: %v", sealed, err)
	}
	if m.anew {
		_, err = h.ask(ctx, agentAddress, "POST", "/v1/pair/abandon", "", fmt.Appendf(nil, `{"code_hash":%q}`, code), 204)
	}
	return err
}
