package docs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The addresses that pages name. Others may have them, so that blocks run
// against a relay elsewhere.
const (
	pageRelay = "http://127.0.0.1:8770"
	pageAdmin = "http://127.0.0.1:9770"
)

// relay is a running relay, with its data in dir/cowrelay-data.
type relay struct {
	cmd        *exec.Cmd
	url, admin string
	exited     chan struct{}

	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

func (r *relay) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *relay) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// startRelay returns when the relay serves.
func startRelay(t *testing.T, dir string) *relay {
	t.Helper()
	r := &relay{exited: make(chan struct{})}
	r.cmd = exec.Command(filepath.Join(bin, "cowrelay"), "serve", "--bind=127.0.0.1:0", "--admin=127.0.0.1:0", "--data-dir=cowrelay-data", "--log-format=json")
	r.cmd.Dir, r.cmd.Env, r.cmd.Stderr = dir, environment(t, dir), r
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.cmd.Wait()
		close(r.exited)
	}()
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		<-r.exited
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		for line := range strings.Lines(r.logged()) {
			var v struct{ Msg, Bind, Admin string }
			if json.Unmarshal([]byte(line), &v) == nil && v.Msg == "serving" {
				r.url, r.admin = "http://"+v.Bind, "http://"+v.Admin
				return r
			}
		}
		select {
		case <-r.exited:
			t.Fatalf("the relay ended:\n%s", r.logged())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the relay does not serve:\n%s", r.logged())
		}
	}
}

// stop ends the relay as an operator would.
func (r *relay) stop(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.wait(t)
}

func (r *relay) wait(t *testing.T) {
	t.Helper()
	select {
	case <-r.exited:
	case <-time.After(time.Minute):
		t.Fatalf("the relay did not end:\n%s", r.logged())
	}
}

// environment is this process's without what configures a relay, and with the
// built commands in PATH.
func environment(t *testing.T, dir string) []string {
	t.Helper()
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "COWRELAY_") {
			env = append(env, v)
		}
	}
	return append(env, "HOME="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"),
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// shell is a shell that is given one block after the other.
type shell struct {
	dir string
	env []string
}

// run runs a script in the folder and returns what it printed. The variables
// that it sets are there in the next one.
func (s *shell) run(t *testing.T, script string) string {
	t.Helper()
	state := filepath.Join(s.dir, ".variables")
	cmd := exec.Command("sh", "-euc", `[ ! -f "$STATE" ] || . "$STATE"; `+script+"\nset > \"$STATE\"")
	cmd.Dir, cmd.Env = s.dir, append(s.env, "STATE="+state)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s\n%s\n%s", err, script, out.String(), errs.String())
	}
	return out.String()
}

// runPage runs the page's blocks in their order, in an empty folder, against a
// relay of its own, word by word but for the addresses.
func runPage(t *testing.T, p *page) (outs []string) {
	t.Helper()
	dir := t.TempDir()
	r := startRelay(t, dir)
	s := &shell{dir, append(environment(t, dir), "COWRELAY_RELAY="+r.url, "COWRELAY_ADMIN_URL="+r.admin)}
	s.run(t, `cowrelay slot new --save of-the-test`)
	address := strings.NewReplacer(pageRelay, r.url, pageAdmin, r.admin)
	for _, f := range p.fence {
		if f.language != "sh" {
			continue
		}
		t.Logf("%s:%d", p.path, f.line)
		outs = append(outs, s.run(t, address.Replace(f.text)))
		if strings.Contains(f.text, "cowrelay admin drain") {
			r.wait(t)
		}
	}
	return outs
}

// needs says whether a block of the page calls a program that not every machine
// has. Those pages are run by make test-real.
func (p *page) needs(program string) bool {
	for _, f := range p.fence {
		if f.language == "sh" && strings.Contains(f.text, program) {
			return true
		}
	}
	return false
}

func TestDocs_ShellBlocksRun(t *testing.T) {
	n := 0
	for _, p := range pages(t) {
		if p.needs("curl ") {
			continue
		}
		t.Run(filepath.Base(p.path), func(t *testing.T) {
			for _, f := range p.fence {
				if f.language == "sh" {
					n++
				}
			}
			if p.needs("") {
				runPage(t, p)
			}
		})
	}
	if n < 8 {
		t.Errorf("found %d blocks only", n)
	}
}

// A block that no test runs is of few kinds.
func TestDocs_BlocksThatAreNotRun(t *testing.T) {
	elsewhere := []string{"docker ", "systemctl ", "install ", "make ", "go tool pprof ", "./new/cowrelay ", "bin/relaybench ", "git ", "jq "}
	for _, p := range pages(t) {
		for _, f := range p.fence {
			switch f.language {
			case "sh", "go", "go.mod", "html":
			case "console":
				run := 0
				for _, line := range f.lines() {
					for _, program := range elsewhere {
						if strings.HasPrefix(line, program) {
							run++
							break
						}
					}
				}
				if run == 0 {
					t.Errorf("%s:%d: a test could run this block: call it sh", p.path, f.line)
				}
			default:
				t.Errorf("%s:%d: a block of %q", p.path, f.line, f.language)
			}
		}
	}
}

// The Go program of the manual is one that runs, in a module made as the
// manual says.
func TestDocs_GoClientRuns(t *testing.T) {
	p := readPage(t, "cmd/cowrelay/docs/using.md")
	blocks := map[string]string{}
	for _, f := range p.fence {
		blocks[f.language] = f.text
	}
	if blocks["go"] == "" || blocks["go.mod"] == "" {
		t.Fatal("using.md lacks the program or its go.mod")
	}
	for _, f := range readPage(t, "README.md").fence {
		if f.language == "go.mod" && f.text != blocks["go.mod"] {
			t.Errorf("README.md and using.md differ about go.mod")
		}
	}
	dir := t.TempDir()
	r := startRelay(t, dir)
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(dir, "module")
	if err := os.Mkdir(module, 0o755); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":  "module example\n\ngo 1.26\n\n" + strings.ReplaceAll(blocks["go.mod"], "../cowrelay", here),
		"go.sum":  string(sums), // no question to a database of checksums
		"main.go": strings.ReplaceAll(blocks["go"], pageRelay, r.url),
	} {
		if err := os.WriteFile(filepath.Join(module, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"mod", "tidy"}, {"run", "."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = module
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
		if args[0] == "run" && string(out) != "posted a\n"+`{"event_id":"a","text":"hello"}`+"\n" {
			t.Errorf("it printed %q", out)
		}
	}
}
