package fasthttp

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/limit"

	"github.com/go-json-experiment/json"
)

const pathRegister = "/v1/invite/register"

// manyClients lets the test be many clients, by X-Forwarded-For.
func manyClients(o *rigOptions) {
	o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
}

// unlimited lets one client ask as often as it can.
func unlimited(o *rigOptions) {
	rates, err := limit.ParseRates("meet=0,other=0")
	if err != nil {
		panic(err)
	}
	o.relay.RateLimits = &rates
}

// logged writes the access log, so that the rig sees whether it holds a token.
func logged(o *rigOptions) { o.relay.AccessLog = true }

func inviteBody(t testing.TB, url, more string) string {
	text, err := json.Marshal(url)
	if err != nil {
		t.Fatal(err)
	}
	return `{"invite_url":` + string(text) + more + `}`
}

// register registers an invite and returns its token.
func (g *rig) register(url, more string, headers ...string) (token string) {
	g.Helper()
	r := g.call("POST", pathRegister, "", inviteBody(g, url, more), headers...).want(g, 201)
	token = r.field(g, "token").(string)
	g.tokens.add(token)
	if r.field(g, "path") != "/i/"+token {
		g.Errorf("the path is %v", r.field(g, "path"))
	}
	return token
}

func TestInvite_Register(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	g := newRig(t, logged, func(o *rigOptions) { o.desk.Now = func() time.Time { return now } })
	url := "wire://pair?v=1&inv=abc"
	for _, row := range []struct {
		more string
		life float64 // seconds
		uses any
	}{
		{"", 86400, nil}, {`,"ttl_seconds":null,"uses":null`, 86400, nil}, {`,"ttl_seconds":3600,"uses":5`, 3600, 5.0},
		{`,"ttl_seconds":1`, 60, nil}, {`,"ttl_seconds":0`, 60, nil}, {`,"ttl_seconds":-5`, 60, nil}, {`,"ttl_seconds":99999999`, 604800, nil},
		{`,"ttl_seconds":99999999999999999999999`, 604800, nil}, {`,"uses":1,"new":{"x":[]}`, 86400, 1.0},
	} {
		r := g.call("POST", pathRegister, "", inviteBody(t, url, row.more)).want(t, 201)
		g.tokens.add(r.field(t, "token").(string))
		if life := r.field(t, "expires_unix").(float64) - float64(now.Unix()); life != row.life || r.field(t, "uses_remaining") != row.uses {
			t.Errorf("%s: %v seconds, %v uses", row.more, life, r.field(t, "uses_remaining"))
		}
	}
	for _, row := range []struct {
		body   string
		status int
	}{
		{"", 400}, {"{", 400}, {"nonsense", 400}, {`{"invite_url":"wire://pair?"}x`, 400},
		{"null", 422}, {"[]", 422}, {"{}", 422}, {`{"invite_url":null}`, 422}, {`{"invite_url":7}`, 422},
		{inviteBody(t, url, `,"uses":0`), 422}, {inviteBody(t, url, `,"uses":-1`), 422}, {inviteBody(t, url, `,"uses":1.5`), 422},
		{inviteBody(t, url, `,"uses":"1"`), 422}, {inviteBody(t, url, `,"ttl_seconds":"1"`), 422}, {inviteBody(t, url, `,"ttl_seconds":1e3`), 422},
		{inviteBody(t, url, `,"ttl_seconds":{}`), 422}, {inviteBody(t, url, `,"invite_url":"wire://pair?x"`), 422},
		{inviteBody(t, "", ""), 400}, {inviteBody(t, "https://pair?", ""), 400}, {inviteBody(t, "wire://pair", ""), 400},
		{inviteBody(t, "wire://pair?\n", ""), 400}, {inviteBody(t, "wire://pair?é", ""), 400}, {inviteBody(t, "wire://pair?\x00", ""), 400},
		{inviteBody(t, "wire://pair?"+strings.Repeat("a", 8180), ""), 201}, {inviteBody(t, "wire://pair?"+strings.Repeat("a", 8181), ""), 413},
		{inviteBody(t, "wire://pair?"+strings.Repeat("a", 100_000), ""), 413},
	} {
		if r := g.call("POST", pathRegister, "", row.body); r.status != row.status {
			t.Errorf("%.60s: %d, want %d: %s", row.body, r.status, row.status, r.body)
		}
	}
	g.call("POST", pathRegister, "", inviteBody(t, url, ""), "Content-Type", "text/plain").want(t, 415)
	g.call("GET", pathRegister, "", nil).want(t, 405)
	g.call("DELETE", "/i/0123456789abcdef", "", nil).want(t, 405)
}

func TestInvite_Fetch(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000)
	g := newRig(t, logged, func(o *rigOptions) { o.desk.Now = func() time.Time { return time.Unix(now.Load(), 0) } })
	url := "wire://pair?v=1&inv=abc&x='$(id)'"
	token := g.register(url, `,"uses":2`)
	private := func(r reply, kind string) {
		t.Helper()
		if c := r.header.Get("Cache-Control"); c != "private, no-store, max-age=0" {
			t.Errorf("Cache-Control: %q", c)
		}
		if c := r.header.Get("Content-Type"); c != kind+"; charset=utf-8" {
			t.Errorf("Content-Type: %q", c)
		}
	}
	for range 5 { // none of these uses it up
		if r := g.call("GET", "/i/"+token+"?format=url", "", nil).want(t, 200); r.body != url {
			t.Errorf("the URL is %q", r.body)
		} else {
			private(r, "text/plain")
		}
		r := g.call("HEAD", "/i/"+token, "", nil).want(t, 200)
		private(r, "text/x-shellscript")
		g.call("HEAD", "/i/"+token+"?format=url", "", nil).want(t, 200)
	}
	r := g.call("GET", "//i/"+token+"?format=sh", "", nil).want(t, 200)
	private(r, "text/x-shellscript")
	if !strings.HasPrefix(r.body, "#!/bin/sh\n") || !strings.Contains(r.body, "wire accept-invite 'wire://pair?") {
		t.Errorf("the script is %s", r.body)
	}
	g.restart()
	g.call("GET", "/i/"+token, "", nil).want(t, 200)
	for _, path := range []string{"/i/" + token, "/i/" + token + "?format=url"} {
		for _, method := range []string{"GET", "HEAD"} {
			g.call(method, path, "", nil).want(t, 410)
		}
	}
	for _, path := range []string{"/i/0123456789abcdef", "/i/abcdef", "/i/nonsense", "/i/%00", "/i/", "/i", "/i/" + token + "/", "/i/" + token + "/x", "/i/" + strings.ToUpper(token)} {
		g.call("GET", path, "", nil).want(t, 404)
	}
	late := g.register(url, "")
	now.Add(86400)
	g.call("GET", "/i/"+late, "", nil).want(t, 410)
	g.call("GET", "/i/"+late+"?format=url", "", nil).want(t, 410)
	g.restart()
	g.call("GET", "/i/"+late, "", nil).want(t, 410)
}

// 50 clients fetch an invite of one use at once.
func TestInvite_OneUse(t *testing.T) {
	t.Parallel()
	g := newRig(t, logged)
	for range 5 {
		token := g.register("wire://pair?v=1", `,"uses":1`)
		var got, gone atomic.Int64
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				switch r, err := g.tryCall("GET", "/i/"+token, "", nil); {
				case err != nil:
					t.Error(err)
				case r.status == 200:
					got.Add(1)
				case r.status == 410:
					gone.Add(1)
				default:
					t.Errorf("status %d: %s", r.status, r.body)
				}
			})
		}
		all.Wait()
		if got.Load() != 1 || gone.Load() != 49 {
			t.Errorf("%d scripts, %d times 410", got.Load(), gone.Load())
		}
	}
}

// A source has its share, and the others find room. This machine has no share.
func TestInvite_Bounds(t *testing.T) {
	few := func(o *rigOptions) { o.desk.MaxInvites = 8 }
	g := newRig(t, few, manyClients, logged, unlimited)
	body := inviteBody(t, "wire://pair?v=1", "")
	from := func(n int) reply {
		t.Helper()
		return g.call("POST", pathRegister, "", body, "X-Forwarded-For", fmt.Sprint("192.0.2.", n))
	}
	for range 2 {
		from(1).want(t, 201)
	}
	if r := from(1).want(t, 503); r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "your address") {
		t.Errorf("over the share: %v %s", r.header, r.body)
	}
	for i := range 6 {
		from(2+i/2).want(t, 201)
	}
	if r := from(9).want(t, 503); r.header.Get("Retry-After") == "" || strings.Contains(r.body, "your address") {
		t.Errorf("over all: %v %s", r.header, r.body)
	}
	g.refused("invite_share", 1)
	g.refused("invites", 1)

	local := newRig(t, few)
	for range 8 {
		local.register("wire://pair?v=1", "")
	}
	local.call("POST", pathRegister, "", body).want(t, 503)
}

// Registrations are limited for each client.
func TestInvite_RateLimit(t *testing.T) {
	g := newRig(t, manyClients, func(o *rigOptions) { o.relay.now = func() int64 { return 1e9 } })
	body := inviteBody(t, "wire://pair?v=1", "")
	for i := range 51 {
		r := g.call("POST", pathRegister, "", body, "X-Forwarded-For", "192.0.2.1")
		if i < 50 && r.status != 201 || i == 50 && (r.status != 429 || r.header.Get("Retry-After") == "") {
			t.Fatalf("request %d: %d %s", i, r.status, r.body)
		}
	}
	g.call("POST", pathRegister, "", body, "X-Forwarded-For", "192.0.2.2").want(t, 201)
}

// A hostile invite, through HTTP and a real shell: the client gets it as one word,
// and nothing else runs.
func TestInvite_ScriptInARealShell(t *testing.T) {
	g := newRig(t, logged)
	dir := t.TempDir()
	stub := "#!/bin/sh\nprintf '%s\\n' \"$#\" \"$@\" > \"$GOT\"\n"
	if err := os.WriteFile(filepath.Join(dir, "wire"), []byte(stub), 0o755); err != nil {
		t.Fatal(err)
	}
	bad, got := filepath.Join(dir, "bad"), filepath.Join(dir, "got")
	for _, tail := range []string{"v=1", "'", "';touch " + bad + ";'", "$(touch " + bad + ")", "`touch " + bad + "`", `\'`, `"&&touch ` + bad + `;"`, "</script>%0Atouch"} {
		url := "wire://pair?" + tail
		script := g.call("GET", "/i/"+g.register(url, ""), "", nil).want(t, 200).body
		cmd := exec.Command("sh", "-s")
		cmd.Stdin = strings.NewReader(script)
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "GOT=" + got, "HOME=/nowhere"}
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", url, err, out)
		}
		if text, err := os.ReadFile(got); string(text) != "2\naccept-invite\n"+url+"\n" {
			t.Errorf("%s: the client got %q, %v", url, text, err)
		}
		if _, err := os.Stat(bad); err == nil {
			t.Fatalf("%s ran something", url)
		}
	}
	missing := newRig(t, func(o *rigOptions) { o.desk.Installer = "https://install.example/it's.sh" })
	script := missing.call("GET", "/i/"+missing.register("wire://pair?", ""), "", nil).want(t, 200).body
	if !strings.Contains(script, `curl -fsSL -- 'https://install.example/it'\''s.sh'`) {
		t.Errorf("the script is %s", script)
	}
}

// Imported invites have short tokens.
func TestInvite_ShortToken(t *testing.T) {
	g := newRig(t)
	one := int64(1)
	invite := rendezvous.Invite{Token: "a1b2c3", URL: "wire://pair?old", Expires: time.Now().Add(time.Hour), Created: time.Now(), Uses: &one}
	if _, err := g.store.Records().Put(rendezvous.InviteKey(invite.Token), invite.Encode(), 0, cow.Totals{}); err != nil {
		t.Fatal(err)
	}
	g.restart()
	g.call("GET", "/i/a1b2c3", "", nil).want(t, 200)
	g.call("GET", "/i/a1b2c3", "", nil).want(t, 410)
}
