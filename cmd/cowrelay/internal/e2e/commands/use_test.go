package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// user runs the commands that use a relay, with a home of its own.
type user struct {
	t   *testing.T
	env []string
}

func newUser(t *testing.T, r *relaytest.Relay, env ...string) *user {
	return &user{t, append([]string{"HOME=/nonexistent", "COWRELAY_RELAY=" + r.URL, "COWRELAY_PROFILE_DIR=" + filepath.Join(t.TempDir(), "p")}, env...)}
}

func (u *user) command(args ...string) *exec.Cmd {
	cmd := exec.Command(relaytest.Binary, args...)
	cmd.Env = append(relaytest.CleanEnv(), u.env...)
	return cmd
}

// run gives in to the command's standard input.
func (u *user) run(code int, in string, args ...string) (stdout, stderr string) {
	u.t.Helper()
	cmd := u.command(args...)
	cmd.Stdin = strings.NewReader(in)
	stdout, stderr, got := relaytest.Finish(u.t, cmd)
	if got != code {
		u.t.Fatalf("%v: exit %d, want %d\n%s\n%s", args, got, code, stdout, stderr)
	}
	return stdout, stderr
}

func (u *user) equal(got, want string) {
	u.t.Helper()
	if got != want {
		u.t.Errorf("got %.500q, want %.500q", got, want)
	}
}

func TestUse_ASlotsLife(t *testing.T) {
	u := newUser(t, relaytest.Start(t, t.TempDir()))
	out, _ := u.run(0, "", "slot", "new", "--save", "default")
	if strings.Contains(out, "token") || !strings.Contains(out, `"profile":"default"`) {
		t.Errorf("slot new --save: %s", out)
	}
	_, errs := u.run(1, "", "slot", "new", "--save", "default")
	relaytest.Contains(t, errs, `profile "default" exists`)
	out, _ = u.run(0, "", "post", `{"event_id":"a"}`, `{"event_id":"a"}`, `{"n":1.0}`)
	u.equal(out, `{"stored":2,"duplicate":1,"failed":0}`+"\n")
	out, _ = u.run(0, "", "post", "--id", "b", `{"n":2}`)
	u.equal(out, `{"event_id":"b","status":"stored","stored":1,"duplicate":0,"failed":0}`+"\n")
	out, errs = u.run(1, "{\"n\":3}\nnonsense\n\n[]\n{\n \"n\": 4\n}\n", "post", "--add-id", "-")
	u.equal(out, `{"stored":2,"duplicate":0,"failed":2}`+"\n")
	relaytest.Contains(t, errs, "line 2: ", "line 4: ", "2 of 4 events failed")
	file := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(file, []byte("{\"event_id\":\"b\"}\n{\"event_id\":\"c\",\"x\":1e999}\n{\"event_id\":\"d\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs = u.run(1, "", "post", "--parallel", "8", "--file", file)
	u.equal(out, `{"stored":1,"duplicate":1,"failed":1}`+"\n")
	relaytest.Contains(t, errs, "line 2: ", "(400)")

	out, _ = u.run(0, "", "pull")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 6 || lines[1] != `{"n":1.0}` || lines[2] != `{"event_id":"b","n":2}` || !strings.HasPrefix(lines[3], `{"event_id":"`) {
		t.Errorf("pull: %s", out)
	}
	out, _ = u.run(0, "", "pull", "--since", "a", "--limit", "2")
	u.equal(out, `{"n":1.0}`+"\n"+`{"event_id":"b","n":2}`+"\n")
	out, _ = u.run(0, "", "pull", "--since", "d", "--wait", "10ms")
	u.equal(out, "")
	out, _ = u.run(0, "", "tail", "-n", "1")
	u.equal(out, `{"event_id":"d"}`+"\n")
	out, _ = u.run(0, "", "tail", "-n", "-1", "--since", "b")
	u.equal(out, strings.Join(lines[3:], "\n")+"\n")
	out, _ = u.run(0, "", "slot", "state")
	relaytest.Contains(t, out, `"event_count":6`)
	out, _ = u.run(0, "", "__complete", "pull", "--profile", "")
	relaytest.Contains(t, out, "default\n")

	_, errs = u.run(2, "y\n", "slot", "rm")
	relaytest.Contains(t, errs, "--yes")
	u.run(0, "", "slot", "rm", "--yes")
	_, errs = u.run(2, "", "pull")
	relaytest.Contains(t, errs, "which slot?")
	_, errs = u.run(1, "", "pull", "--profile", "default")
	relaytest.Contains(t, errs, `no profile "default"`)
}

// Slot and token come from flags, variables and profiles, and some mixtures are
// refused.
func TestUse_Targets(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	s, other := r.Allocate(), r.Allocate()
	u := newUser(t, r)
	u.run(0, "", "slot", "new", "--save", "mine")
	dir := strings.TrimPrefix(u.env[2], "COWRELAY_PROFILE_DIR=")
	mine := filepath.Join(dir, "mine.json")
	for name, mode := range map[string]os.FileMode{dir: 0o700, mine: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(s.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := "http://127.0.0.1:1"
	for _, x := range []struct {
		env  []string
		args []string
		code int
		says string
	}{
		{nil, []string{"--slot", s.ID, "--token-file", token}, 0, ""},
		{[]string{"COWRELAY_SLOT=" + s.ID, "COWRELAY_TOKEN=" + s.Token}, nil, 0, ""},
		{[]string{"COWRELAY_PROFILE=mine"}, nil, 0, ""},
		{[]string{"COWRELAY_TOKEN=" + other.Token}, []string{"--slot", s.ID}, 1, "the token in COWRELAY_TOKEN is not that of slot " + s.ID},
		{[]string{"COWRELAY_TOKEN=" + s.Token}, []string{"--slot", strings.Repeat("0", 32)}, 1, "the relay at " + r.URL + " has no slot"},
		{nil, []string{"--slot", s.ID}, 2, "no token for slot"},
		{nil, []string{"--slot", s.ID, "--token", s.Token}, 2, "can be seen by others"},
		{nil, []string{"--profile", "mine", "--slot", s.ID}, 2, `not the slot of profile "mine"`},
		{nil, []string{"--profile", "mine", "--relay", nobody}, 2, "its token is not sent elsewhere"},
		{nil, []string{"--profile", "../mine"}, 2, "no name of a profile"},
		{[]string{"COWRELAY_TOKEN=" + s.Token}, []string{"--slot", s.ID, "--relay", nobody}, 1, "cannot reach the relay at " + nobody},
		{[]string{"COWRELAY_TOKEN=" + s.Token}, []string{"--slot", s.ID, "--relay", r.AdminURL}, 1, ""},
	} {
		for _, command := range [][]string{{"pull"}, {"tail", "-f"}, {"slot", "state"}, {"post", "{}"}} {
			if x.code == 0 && command[0] != "pull" {
				continue
			}
			one := &user{t, append(append([]string(nil), u.env...), x.env...)}
			_, errs := one.run(x.code, "", append(append([]string(nil), command...), x.args...)...)
			relaytest.Contains(t, errs, x.says)
			if strings.Contains(errs, s.Token) || strings.Contains(errs, other.Token) {
				t.Errorf("%v prints a token", x)
			}
		}
	}
	if err := os.Chmod(mine, 0o644); err != nil {
		t.Fatal(err)
	}
	_, errs := u.run(1, "", "pull", "--profile", "mine")
	relaytest.Contains(t, errs, "others can read it (mode 0644): chmod 600 "+mine)
	if err := os.WriteFile(mine, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chmod(mine, 0o600)
	_, errs = u.run(1, "", "pull", "--profile", "mine")
	relaytest.Contains(t, errs, "is broken")
}

func TestUse_AskedWrongly(t *testing.T) {
	for _, args := range [][]string{
		{"slot"}, {"post", "--slot=x"}, {"pull", "--slot=x", "--limit=-1"}, {"post", "--slot=x", "--file=a", "{}"}, {"post", "--slot=x", "--id=a", "-"},
		{"post", "--slot=x", "--parallel=0", "{}"}, {"pull", "x"}, {"slot", "new", "--relay=ftp://x"}, {"slot", "new", "--save=.."},
		{"token"}, {"token", "new", "--slot=x"}, {"token", "revoke", "--slot=x"}, {"token", "new", "--slot=x", "--may=post", "--ttl=-1s"},
		{"pull", "--slot=x", "--from=-1"}, {"pull", "--slot=x", "--from=1", "--since=a"}, {"pull", "--slot=x", "--last=1", "--limit=1"}, {"pull", "--slot=x", "--from=x"},
	} {
		if out, errs, code := relaytest.Command(t, []string{"COWRELAY_TOKEN=t"}, args...); code != 2 || out != "" || errs == "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, errs)
		}
	}
	for _, args := range [][]string{{"slot", "new"}, {"slot", "state"}, {"slot", "share"}, {"slot", "rm"}, {"post"}, {"pull"}, {"tail"}, {"ping"}, {"token", "new"}, {"token", "list"}, {"token", "revoke"}, {"token", "rotate"}} {
		out, errs, code := relaytest.Command(t, nil, append(args, "--help")...)
		if code != 0 || errs != "" {
			t.Errorf("%v --help: exit %d, %s", args, code, errs)
		}
		relaytest.Contains(t, out, "Usage:", "--relay", "COWRELAY_RELAY")
		if strings.Contains(out, "--token ") {
			t.Errorf("%v has --token", args)
		}
	}
}

// userWithEvents has a slot of 2,000 events, which is more than a pipe holds.
func userWithEvents(t *testing.T) *user {
	t.Helper()
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	u.run(0, "", "slot", "new", "--save", "default")
	var events strings.Builder
	for n := range 2000 {
		fmt.Fprintf(&events, "%s\n", relaytest.Event("a", n, 300))
	}
	u.run(0, events.String(), "post", "--parallel", "32", "-")
	return u
}

// An output that nobody reads any more.
func TestUse_Output(t *testing.T) {
	u := userWithEvents(t)
	// Silence, as from any other filter whose reader has enough.
	pipe := exec.Command("sh", "-c", `"$0" pull | head -n 1`, relaytest.Binary)
	pipe.Env = append(relaytest.CleanEnv(), u.env...)
	out, errs, code := relaytest.Finish(t, pipe)
	if code != 0 || strings.Count(out, "\n") != 1 || errs != "" {
		t.Errorf("pull | head: exit %d, %q", code, errs)
	}
}

// follower is a command that runs on.
type follower struct {
	*exec.Cmd
	out, errs relaytest.Buffer
	done      chan error
}

func (u *user) follow(stdin io.Reader, args ...string) *follower {
	u.t.Helper()
	f := &follower{Cmd: u.command(args...), done: make(chan error, 1)}
	f.Stdin, f.Stdout, f.Stderr = stdin, &f.out, &f.errs
	if err := f.Start(); err != nil {
		u.t.Fatal(err)
	}
	go func() { f.done <- f.Wait() }()
	u.t.Cleanup(func() { f.Process.Kill() })
	return f
}

func (f *follower) wait(t *testing.T, ended func(string) bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ended(f.out.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come:\n%.2000s\n%s", f.out.String(), f.errs.String())
		}
	}
}

// tail -f and post of many lines over a relay that is killed and comes back:
// nothing lost, nothing doubled, the order kept.
func TestUse_OverRestart(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	bind := strings.TrimPrefix(r.URL, "http://")
	u := newUser(t, r)
	u.run(0, "", "slot", "new", "--save", "default")
	tail := u.follow(nil, "tail", "-n", "-1", "-f")
	in, feed := io.Pipe()
	post := u.follow(in, "post", "-")
	var want strings.Builder
	send := func(from, to int) {
		for n := from; n < to; n++ {
			line := fmt.Sprintf("%s\n", relaytest.Event("a", n, 200))
			want.WriteString(line)
			if _, err := io.WriteString(feed, line); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(0, 200)
	tail.wait(t, func(out string) bool { return strings.Count(out, "\n") >= 100 })
	r.Kill()
	send(200, 400)
	again := relaytest.New(t, dir)
	again.Cmd.Args = append(again.Cmd.Args, "--bind="+bind)
	again.Start()
	send(400, 500)
	feed.Close()
	if err := <-post.done; err != nil {
		t.Fatalf("post: %v\n%s", err, post.errs.String())
	}
	var sums struct{ Stored, Duplicate, Failed int }
	if err := json.Unmarshal([]byte(post.out.String()), &sums); err != nil || sums.Stored != 500 || sums.Duplicate != 0 || sums.Failed != 0 {
		t.Errorf("post: %s", post.out.String())
	}
	tail.wait(t, func(out string) bool { return len(out) >= want.Len() })
	u.equal(tail.out.String(), want.String())
	relaytest.Contains(t, tail.errs.String(), "trying again", "the relay answers again")
	out, _ := u.run(0, "", "pull")
	u.equal(out, want.String())

	tail.Process.Signal(syscall.SIGINT)
	if err := <-tail.done; err != nil {
		t.Errorf("tail after Ctrl-C: %v\n%s", err, tail.errs.String())
	}
	// Ctrl-C while it waits for input.
	stdin, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	defer stdin.Close()
	post = u.follow(stdin, "post", "-")
	if _, err := io.WriteString(typed, `{"event_id":"last"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if out, _ := u.run(0, "", "tail", "-n", "1"); strings.Contains(out, "last") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the line is not posted")
		}
	}
	post.Process.Signal(syscall.SIGINT)
	var exit *exec.ExitError
	if err := <-post.done; !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("post after Ctrl-C: %v", err)
	}
	relaytest.Contains(t, post.errs.String(), "interrupted")
	relaytest.Contains(t, post.out.String(), `"stored":1,"duplicate":0,"failed":0}`+"\n")
}
