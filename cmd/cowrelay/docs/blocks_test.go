package docs_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// The addresses that pages name. Others may have them, so that blocks run
// against a relay elsewhere.
const (
	pageRelay = "http://127.0.0.1:8770"
	pageAdmin = "http://127.0.0.1:9770"
)

// start starts a relay with its data in dir/cowrelay-data.
func start(t *testing.T, dir string) *relaytest.Relay {
	t.Helper()
	return relaytest.Start(t, filepath.Join(dir, "cowrelay-data"))
}

// environment is that of a user whose home is dir, with the built relay in PATH.
func environment(dir string) []string {
	return append(relaytest.CleanEnv(), "HOME="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"),
		"PATH="+filepath.Dir(relaytest.Binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
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
	r := start(t, dir)
	s := &shell{dir, append(environment(dir), "COWRELAY_RELAY="+r.URL, "COWRELAY_ADMIN_URL="+r.AdminURL)}
	s.run(t, `cowrelay slot new --save of-the-test`)
	address := strings.NewReplacer(pageRelay, r.URL, pageAdmin, r.AdminURL)
	for _, f := range p.fence {
		if f.language != "sh" {
			continue
		}
		t.Logf("%s:%d", p.path, f.line)
		outs = append(outs, s.run(t, address.Replace(f.text)))
		if strings.Contains(f.text, "cowrelay admin drain") {
			r.Wait(time.Minute)
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
		if p.needs("curl ") || p.path == movingIn {
			continue // TestReal_ShellBlocksWithCurl and TestMovingIn run these
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
	elsewhere := []string{"docker ", "systemctl ", "install ", "make ", "go tool pprof ", "./new/cowrelay ", "bin/relaybench ", "git ", "jq ", "restic ", "rclone ", "openssl "}
	for _, p := range pages(t) {
		for _, f := range p.fence {
			switch f.language {
			case "sh", "go", "go.mod", "html":
			case "text": // a file of another program
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
	r := start(t, dir)
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
		"main.go": strings.ReplaceAll(blocks["go"], pageRelay, r.URL),
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
