package commands

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cmd/cowrelay/internal/root"
	"cowrelay/cow/card/cardtest"

	"github.com/spf13/cobra"
)

// No command says that it is done when its output found no room. Each that
// prints is tried, and each that there is has to be in the list.
func TestOutput_FullDisk(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	u.run(0, "", "slot", "new", "--save=default")
	u.run(0, "", "post", `{"event_id":"a"}`)
	out, _ := u.run(0, "", "slot", "state", "--json")
	var state struct {
		ID string `json:"slot_id"`
	}
	if err := json.Unmarshal([]byte(out), &state); err != nil {
		t.Fatal(err)
	}
	var invites [2]struct{ Token string }
	for i := range invites {
		reply := relaytest.Slot{}.MustSend(t, 201, "POST", r.URL+"/v1/invite/register", []byte(`{"invite_url":"wire://pair?v=1"}`))
		if err := json.Unmarshal(reply, &invites[i]); err != nil {
			t.Fatal(err)
		}
	}
	admin := []string{"--admin=" + r.AdminURL}
	stopped, _ := relaytest.Stored(t)
	state1 := relaytest.NewState(t, 1, 1, 300)
	s := r.Allocate()
	var further struct {
		ID string `json:"token_id"`
	}
	for range 2 { // one is revoked, the other is listed
		if err := json.Unmarshal(s.AsOwner().MustSend(t, 201, "POST", r.URL+"/v1/slot/"+s.ID+"/tokens", []byte(`{"may":["read"]}`)), &further); err != nil {
			t.Fatal(err)
		}
	}
	for _, nick := range []string{"paul", "mary"} {
		claim := fmt.Appendf(nil, `{"nick":%q,"slot_id":%q,"card":%s}`, nick, s.ID, cardtest.New(nick, 0).Card("{}"))
		s.MustSend(t, 201, "POST", r.URL+"/v1/handle/claim", claim)
	}
	tries := map[string][][]string{
		"cowrelay":                       {{"--version"}, {"--help"}, {"-h"}},
		"cowrelay help":                  {{"help"}, {"help", "serve"}},
		"cowrelay version":               {{"version"}},
		"cowrelay default-config":        {{"default-config"}},
		"cowrelay check-config":          {{"check-config"}},
		"cowrelay completion bash":       {{"completion", "bash"}},
		"cowrelay completion zsh":        {{"completion", "zsh"}},
		"cowrelay completion fish":       {{"completion", "fish"}},
		"cowrelay completion powershell": {{"completion", "powershell"}},
		"cowrelay __complete":            {{"__complete", "slot", ""}},
		"cowrelay __completeNoDesc":      {{"__completeNoDesc", "slot", ""}},
		"cowrelay health":                {{"health", "--url", r.URL}},
		"cowrelay slot new":              {{"slot", "new"}, {"slot", "new", "--json"}},
		"cowrelay slot state":            {{"slot", "state"}},
		"cowrelay slot share":            {{"slot", "share"}},
		"cowrelay token new":             {{"token", "new", "--may=post"}},
		"cowrelay token list":            {{"token", "list"}},
		"cowrelay token rotate":          {{"token", "rotate"}},
		"cowrelay post":                  {{"post", `{"event_id":"b"}`}, {"post", "-"}},
		"cowrelay pull":                  {{"pull"}, {"pull", "--last=1"}},
		"cowrelay tail":                  {{"tail"}, {"tail", "-f"}},
		"cowrelay top":                   {append(admin, "top", "--every=100ms")},
		"cowrelay verify":                {{"verify", "--data-dir", stopped}, {"verify", "--json", "--data-dir", stopped}},
		"cowrelay export":                {{"export", "--all", "--data-dir", stopped}, append(admin, "export", "--all")},
		"cowrelay import":                {{"import", "--from", state1.Dir, "--data-dir", filepath.Join(t.TempDir(), "new")}},
		"cowrelay admin handles list":    {append(admin, "admin", "handles", "list")},
		"cowrelay admin handles show":    {append(admin, "admin", "handles", "show", "paul")},
		"cowrelay admin handles unclaim": {append(admin, "admin", "handles", "unclaim", "--yes", "mary")},
		"cowrelay admin invites list":    {append(admin, "admin", "invites", "list")},
		"cowrelay admin invites revoke":  {append(admin, "admin", "invites", "revoke", invites[1].Token)},
		"cowrelay admin purge":           {append(admin, "admin", "purge", "--yes", "192.0.2.1")},
		"cowrelay admin status":          {append(admin, "admin", "status")},
		"cowrelay admin slots":           {append(admin, "admin", "slots")},
		"cowrelay admin slots owner":     {append(admin, "admin", "slots", "owner", s.ID)},
		"cowrelay admin slots tokens":    {append(admin, "admin", "slots", "tokens", s.ID)},
		"cowrelay admin slots revoke":    {append(admin, "admin", "slots", "revoke", s.ID, further.ID)},
		"cowrelay admin slot":            {append(admin, "admin", "slot", state.ID)},
		"cowrelay admin block":           {append(admin, "admin", "block", state.ID)},
		"cowrelay admin unblock":         {append(admin, "admin", "unblock", state.ID)},
		"cowrelay admin log-level":       {append(admin, "admin", "log-level")},
		"cowrelay admin rm":              {append(admin, "admin", "rm", "--yes", state.ID)},
		"cowrelay admin drain":           {append(admin, "admin", "drain", "--yes")},
	}
	silent := []string{"cowrelay serve", "cowrelay man", "cowrelay slot rm", "cowrelay slot", "cowrelay token", "cowrelay token revoke", "cowrelay admin", "cowrelay admin handles", "cowrelay admin invites", "cowrelay completion"}
	full := relaytest.FullDisk(t)
	try := func(args ...string) {
		t.Helper()
		cmd := u.command(args...)
		cmd.Stdin = strings.NewReader("")
		cmd.Stdout = full
		stderr := new(relaytest.Buffer)
		cmd.Stderr = stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
		cmd.Wait()
		timer.Stop()
		if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Count(stderr.String(), "cannot write to standard output") != 1 {
			t.Errorf("%v: exit %d, %q", args, code, stderr.String())
		}
	}
	var all func(*cobra.Command)
	all = func(c *cobra.Command) {
		path := c.CommandPath()
		if c.HasSubCommands() || c.Runnable() {
			if tries[path] == nil && !slices.Contains(silent, path) {
				t.Errorf("%s is tried nowhere", path)
			}
			if !strings.HasPrefix(path, "cowrelay __") && path != "cowrelay help" {
				try(append(strings.Fields(path)[1:], "--help")...)
			}
		}
		for _, c := range c.Commands() {
			all(c)
		}
	}
	root := root.New("", nil)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	all(root)
	last := []string{"cowrelay admin invites revoke", "cowrelay admin block", "cowrelay admin unblock", "cowrelay admin rm", "cowrelay admin drain"}
	for path, lists := range tries {
		for _, args := range lists {
			if !slices.Contains(last, path) {
				try(cobraOrder(args)...)
			}
		}
	}
	for _, path := range last {
		try(cobraOrder(tries[path][0])...)
	}
}

// cobraOrder puts a flag that stands first, last: it belongs to a command below.
func cobraOrder(args []string) []string {
	if strings.HasPrefix(args[0], "--admin=") {
		return append(slices.Clone(args[1:]), args[0])
	}
	return args
}

// In a pipe whose reader has what it wants, a command ends without a word.
func TestOutput_ClosedPipe(t *testing.T) {
	for _, args := range [][]string{{"default-config"}, {"--help"}, {"completion", "bash"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := exec.Command(relaytest.Binary, args...)
		cmd.Stdout = w
		stderr := new(relaytest.Buffer)
		cmd.Stderr = stderr
		err = cmd.Run()
		w.Close()
		if err == nil || stderr.String() != "" {
			t.Errorf("%v: %v %q", args, err, stderr.String())
		}
	}
}

// hostile is what a terminal takes for orders: C1 controls, delete, and what
// turns the direction of writing.
const (
	hostile     = "\x1b\u007f\u0080\u0085\u009b\u009f\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
	hostileText = "a\u009b31m\u007f\u0080\u0085\u009f\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069é漢\U0001f600z"
)

// A terminal gets no character that steers it, but JSON that means the same; a
// pipe gets the bytes as they are.
func TestOutput_Terminal(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	u.run(0, "", "slot", "new", "--save=default")
	event := `{"event_id":"a","text":"` + hostileText + `"}`
	u.run(0, event, "post", "-")
	flags := []string{"--relay=" + r.URL, "--profile-dir=" + strings.TrimPrefix(u.env[2], "COWRELAY_PROFILE_DIR=")}
	for _, args := range [][]string{{"pull"}, {"tail"}} {
		out, _ := u.run(0, "", args...)
		u.equal(out, event+"\n")
		p := startPane(t, 24, 200, append(args, flags...)...)
		p.exits()
		got := strings.TrimSpace(p.out.String())
		if strings.ContainsAny(got, hostile) {
			t.Errorf("%v: %q", args, got)
		}
		var v struct{ Text string }
		if err := json.Unmarshal([]byte(got), &v); err != nil || v.Text != hostileText {
			t.Errorf("%v: %v %q", args, err, got)
		}
	}
	// What the relay says in an error, here a made-up one.
	_, errs := u.run(1, "", "slot", "state", "--relay="+liar(t, hostileText+"\x1b[2J"), "--slot=0123456789abcdef0123456789abcdef", "--token-file="+relaytest.WriteTemp(t, "token"), "--retry-for=0")
	if strings.ContainsAny(errs, hostile) || !strings.Contains(errs, `\u009b31m`) {
		t.Errorf("%q", errs)
	}
}
