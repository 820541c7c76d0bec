package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	fleet := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // this relay is of none
		w.Write([]byte(`{"head":1,"members":[{"name":"a"}]}`))
	}))
	defer fleet.Close()
	backups := t.TempDir()
	if _, stderr, code := relaytest.Command(t, nil, "backup", backups, admin[0]); code != 0 {
		t.Fatal(stderr)
	}
	made, err := filepath.Glob(filepath.Join(backups, "2*"))
	if err != nil || len(made) != 1 {
		t.Fatal(made, err)
	}
	backup := made[0]
	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { // a relay that is handed over at once
		if req.Method == http.MethodPost {
			w.Write([]byte(`{"version":"next","handovers":0}`))
		} else {
			w.Write([]byte(`{"version":"next","handovers":1,"ready":true}`))
		}
	}))
	defer next.Close()
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
		"cowrelay slot list":             {{"slot", "list"}},
		"cowrelay slot state":            {{"slot", "state"}},
		"cowrelay slot share":            {{"slot", "share"}},
		"cowrelay token new":             {{"token", "new", "--may=post"}},
		"cowrelay token list":            {{"token", "list"}},
		"cowrelay token rotate":          {{"token", "rotate"}},
		"cowrelay post":                  {{"post", `{"event_id":"b"}`}, {"post", "-"}},
		"cowrelay pull":                  {{"pull"}, {"pull", "--last=1"}, {"pull", "--template={{id}}"}},
		"cowrelay tail":                  {{"tail"}, {"tail", "-f"}, {"tail", "-f", "--count=1", "--template={{id}}"}},
		"cowrelay ping":                  {{"ping", "--count=1"}, {"ping", "--count=1", "--json"}},
		"cowrelay doctor":                {{"doctor", "--url", r.URL}, {"doctor", "--json", "--url", r.URL}},
		"cowrelay top":                   {append(admin, "top", "--every=100ms")},
		"cowrelay handover":              {{"handover", "--admin", next.URL}},
		"cowrelay verify":                {{"verify", "--data-dir", stopped}, {"verify", "--json", "--data-dir", stopped}},
		"cowrelay export":                {{"export", "--all", "--data-dir", stopped}, append(admin, "export", "--all")},
		"cowrelay import":                {{"import", "--from", state1.Dir, "--data-dir", filepath.Join(t.TempDir(), "new")}},
		"cowrelay backup":                {append(admin, "backup", filepath.Join(t.TempDir(), "b"))},
		"cowrelay backup list":           {{"backup", "list", backups}},
		"cowrelay restore":               {{"restore", "--verify-only", backup}},
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
		"cowrelay admin fleet":           {{"admin", "fleet", "--admin", fleet.URL}},
		"cowrelay admin fleet upgrade":   {{"admin", "fleet", "upgrade", "--admin", fleet.URL}},
		"cowrelay admin fleet forget":    {{"admin", "fleet", "forget", "a", "--admin", fleet.URL}},
		"cowrelay admin drain":           {append(admin, "admin", "drain", "--yes")},
	}
	silent := []string{"cowrelay serve", "cowrelay man", "cowrelay slot rm", "cowrelay slot", "cowrelay token", "cowrelay token revoke", "cowrelay admin", "cowrelay admin handles", "cowrelay admin invites", "cowrelay completion"}
	elsewhere := []string{"cowrelay admin fleet", "cowrelay admin fleet upgrade", "cowrelay admin fleet forget"} // the fleets' tests
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
			if tries[path] == nil && !slices.Contains(silent, path) && !slices.Contains(elsewhere, path) {
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

// onFullDisk runs a command whose output has no room. It has to end with 1, and to
// say why.
func onFullDisk(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = relaytest.FullDisk(t), &stderr
	if cmd.Run(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "no space left on device") {
		t.Errorf("%v: %v, %s", cmd.Args, cmd.ProcessState, &stderr)
	}
}

func TestExport_FullDisk(t *testing.T) {
	f := relaytest.Fill(t, 2, 3000, 300)
	onFullDisk(t, exec.Command(relaytest.Binary, "export", "--all", "--data-dir="+f.Dir))
}

func TestUse_FullDisk(t *testing.T) {
	u := userWithEvents(t)
	for _, args := range [][]string{{"pull"}, {"tail"}, {"tail", "-f"}, {"slot", "state"}, {"post", "{}"}} {
		onFullDisk(t, u.command(args...))
	}
}
