package fasthttp

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// claimBody is a claim of a nick whose card is signed as agents sign it. The key
// depends on the nick alone.
func claimBody(nick, slot string, more ...any) []byte {
	seed := sha256.Sum256([]byte(nick))
	key := ed25519.NewKeyFromSeed(seed[:])
	public := key.Public().(ed25519.PublicKey)
	hash := sha256.Sum256(public)
	card := map[string]any{
		"did": "did:wire:" + nick + "-" + hex.EncodeToString(hash[:4]), "profile": map[string]any{"motto": "hello"},
		"verify_keys": map[string]any{"k": map[string]any{"key": base64.StdEncoding.EncodeToString(public)}},
	}
	canonical, _ := json.Marshal(card) // of plain texts, with sorted keys
	card["signature"] = base64.StdEncoding.EncodeToString(ed25519.Sign(key, canonical))
	claim := map[string]any{"nick": nick, "slot_id": slot, "card": card}
	for i := 0; i+1 < len(more); i += 2 {
		claim[more[i].(string)] = more[i+1]
	}
	body, _ := json.Marshal(claim)
	return body
}

// names returns one member of each object of a list.
func names(list any, member string) (names []string) {
	for _, v := range list.([]any) {
		names = append(names, fmt.Sprint(v.(map[string]any)[member]))
	}
	return names
}

// An operator sees every handle, and takes one from its holder over a restart.
func TestAdmin_Handles(t *testing.T) {
	g := newRig(t, func(o *rigOptions) {
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	o, m := newOperator(g, true, ""), g.allocate()
	for i, nick := range []string{"carol", "alice", "bob"} {
		address := fmt.Sprintf("192.0.2.%d", i/2+1) // carol and alice come from one
		g.call("POST", "/v1/handle/claim", m.token, claimBody(nick, m.id, "discoverable", nick != "bob", "relay_url", "https://relay.example"),
			"X-Forwarded-For", address).want(t, 201)
	}
	check := func(query string, matching int, want ...string) {
		t.Helper()
		v := o.must(200, "GET", "/admin/v1/handles"+query, "")
		if got := names(v["handles"], "nick"); !slices.Equal(got, want) || v["matching"] != float64(matching) {
			t.Errorf("%q: %v of %v, want %v of %d", query, got, v["matching"], want, matching)
		}
	}
	check("", 3, "alice", "bob", "carol")
	check("?limit=1", 3, "alice")
	check("?after=alice&limit=1", 2, "bob")
	check("?address=192.0.2.1", 2, "alice", "carol")
	check("?address=192.0.2.9", 0)
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?address=127.0.0.1", "?address=::1", "?address=x", "?address=192.0.2.0/24"} {
		o.must(400, "GET", "/admin/v1/handles"+query, "")
	}
	bob := o.must(200, "GET", "/admin/v1/handles/bob", "")
	card, _ := bob["card"].(map[string]any)
	if bob["slot_id"] != m.id || bob["listed"] != false || bob["address"] != "192.0.2.2" || bob["relay_url"] != "https://relay.example" ||
		bob["did"] != card["did"] || bob["slot_gone"] != false {
		t.Errorf("bob: %v", bob)
	}
	if rec := o.ask("GET", "/admin/v1/handles", ""); strings.Contains(rec.Body.String(), m.token) {
		t.Error("the list holds a token")
	}
	o.must(404, "GET", "/admin/v1/handles/dave", "")
	o.must(404, "DELETE", "/admin/v1/handles/dave", "")
	o.must(204, "DELETE", "/admin/v1/handles/bob", "")
	o.must(404, "DELETE", "/admin/v1/handles/bob", "")
	if text := o.log.String(); !strings.Contains(text, `act="unclaim handle" on=bob result=done`) {
		t.Errorf("the log: %s", text)
	}
	g.call("DELETE", "/v1/slot/"+m.id, m.owner, nil).want(t, 204)
	g.restart()
	o = newOperator(g, true, "")
	check("", 2, "alice", "carol")
	if v := o.must(200, "GET", "/admin/v1/handles/alice", ""); v["slot_gone"] != true || v["listed"] != true {
		t.Errorf("alice: %v", v)
	}
	g.call("GET", "/.well-known/wire/agent?handle=bob", "", nil).want(t, 404)
}

// An operator revokes an invite without seeing its token, and drops what came from
// one address, and nothing else.
func TestAdmin_InvitesAndPurge(t *testing.T) {
	g := newRig(t, func(o *rigOptions) {
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	o, m := newOperator(g, true, ""), g.allocate()
	from := func(address, nick string) (token string) {
		g.call("POST", "/v1/handle/claim", m.token, claimBody(nick, m.id), "X-Forwarded-For", address).want(t, 201)
		var v struct{ Token string }
		r := g.call("POST", "/v1/invite/register", "", `{"invite_url":"wire://pair?v=1"}`, "X-Forwarded-For", address).want(t, 201)
		if err := json.Unmarshal([]byte(r.body), &v); err != nil {
			t.Fatal(err)
		}
		return v.Token
	}
	bad, good := from("192.0.2.1", "alice"), from("192.0.2.2", "bob")
	rec := o.ask("GET", "/admin/v1/invites", "")
	if text := rec.Body.String(); rec.Code != 200 || strings.Contains(text, bad) || strings.Contains(text, "wire:") {
		t.Fatalf("status %d: %s", rec.Code, text)
	}
	ids := names(o.must(200, "GET", "/admin/v1/invites?address=192.0.2.2", "")["invites"], "id")
	if len(ids) != 1 {
		t.Fatalf("invites: %v", ids)
	}
	o.must(404, "POST", "/admin/v1/invites/revoke", `{"id":"0123456789abcdef0123456789abcdef"}`)
	o.must(422, "POST", "/admin/v1/invites/revoke", `{}`)
	for _, body := range []string{`{}`, `{"address":"127.0.0.1"}`, `{"address":"192.0.2.0/24"}`} {
		o.must(422, "POST", "/admin/v1/purge", body)
	}
	for _, dry := range []bool{true, false} {
		v := o.must(200, "POST", "/admin/v1/purge", fmt.Sprintf(`{"address":"192.0.2.1","dry_run":%v}`, dry))
		if fmt.Sprint(v["handles"]) != "[alice]" || v["invites"] != 1.0 || v["more"] != false {
			t.Errorf("dry %v: %v", dry, v)
		}
		g.call("GET", "/i/"+bad, "", nil).want(t, map[bool]int{true: 200, false: 410}[dry])
	}
	g.call("GET", "/.well-known/wire/agent?handle=alice", "", nil).want(t, 404)
	g.call("GET", "/.well-known/wire/agent?handle=bob", "", nil).want(t, 200)
	g.call("GET", "/i/"+good, "", nil).want(t, 200)
	o.must(200, "POST", "/admin/v1/invites/revoke", `{"id":"`+ids[0]+`"}`)
	g.call("GET", "/i/"+good, "", nil).want(t, 410)
	if text := o.log.String(); strings.Contains(text, good) || strings.Contains(text, bad) || !strings.Contains(text, "act=purge on=192.0.2.1") {
		t.Errorf("the log: %s", text)
	}
}
