package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	slots  = "cowrelay/cow/"
	relay  = "cowrelay/fasthttp/"
	bench  = "cowrelay/bench/"
	server = "cowrelay/cmd/cowrelay/internal/"
)

// The rule of the tree: cow knows no HTTP, fasthttp knows no disk, only cmd joins
// them. A package imports of ours exactly the packages in its row. A row stands
// below all rows that it names: low packages come first. Tests of a package may
// import more.
var mayImport = map[string][]string{
	// Slots and how they are stored.
	slots + "event":         {},
	slots + "card/cardtest": {},
	slots + "flight":        {},
	slots + "index":         {},
	slots + "invariants":    {},
	slots + "rate":          {},
	slots + "share":         {},
	slots + "token":         {},
	slots + "frame":         {slots + "event"},
	"cowrelay/cow":          {slots + "event", slots + "flight", slots + "frame", slots + "index", slots + "invariants", slots + "token"},
	slots + "journaltest":   {"cowrelay/cow", slots + "event", slots + "frame", slots + "token"},
	slots + "replay":        {"cowrelay/cow", slots + "event"},
	slots + "filelog":       {slots + "replay"},
	slots + "natslog":       {slots + "replay"},
	slots + "pebblestore":   {"cowrelay/cow", slots + "event", slots + "pebblestore/reclaim", slots + "replay"},
	slots + "engine":        {"cowrelay/cow", slots + "event", slots + "filelog", slots + "pebblestore", slots + "replay"},
	slots + "card":          {},
	slots + "retention":     {"cowrelay/cow", slots + "event"},
	slots + "rendezvous":    {"cowrelay/cow", slots + "card", slots + "event", slots + "rate", slots + "share"},
	// What only tests of journals need.
	slots + "replay/replaytest": {"cowrelay/cow", slots + "event", slots + "replay"},
	// NATS servers for tests and loads. It knows nothing of the relay.
	slots + "natslog/natstest": {},

	slots + "pebblestore/reclaim": {},
	// HTTP.
	relay + "client":  {},
	relay + "redact":  {},
	relay + "trace":   {},
	relay + "web":     {},
	relay + "manual":  {},
	relay + "accept":  {slots + "share"},
	relay + "limit":   {slots + "rate", relay + "accept"},
	relay + "refusal": {"cowrelay/cow", slots + "event", slots + "token"},
	relay + "meet":    {"cowrelay/cow", slots + "card", slots + "event", slots + "rendezvous", relay + "refusal"},
	relay + "keys":    {"cowrelay/cow", slots + "token", relay + "refusal"},
	relay + "stats":   {"cowrelay/cow", slots + "rendezvous"},
	relay + "stream":  {"cowrelay/cow", slots + "frame", slots + "share"},
	relay + "admin":   {"cowrelay/cow", slots + "rate", slots + "rendezvous", slots + "retention", relay + "accept", relay + "keys", relay + "redact", relay + "refusal", relay + "stats"},
	relay + "secure":  {relay + "accept"},
	relay + "conn":    {"cowrelay/cow", slots + "frame", slots + "share", relay + "accept", relay + "secure", relay + "stream"},
	relay + "coding":  {"cowrelay/cow", slots + "share", relay + "accept"},
	relay + "poll":    {"cowrelay/cow", slots + "frame", slots + "share", relay + "accept", relay + "stream"},
	"cowrelay/fasthttp": {
		"cowrelay/cow", slots + "event", slots + "frame", slots + "invariants", slots + "rendezvous", slots + "retention", slots + "share", slots + "token", relay + "accept", relay + "coding", relay + "conn", relay + "keys", relay + "limit", relay + "manual",
		relay + "meet", relay + "poll", relay + "redact", relay + "refusal", relay + "stats", relay + "stream", relay + "trace", relay + "web",
	},
	// The load generator knows of the relay what a client knows, and no more.
	"cowrelay/bench":              {},
	bench + "proc":                {},
	bench + "cgroup":              {},
	bench + "wire":                {},
	bench + "load":                {bench + "cgroup", bench + "proc", bench + "wire"},
	bench + "bound":               {bench + "load", bench + "proc", bench + "wire"},
	bench + "load/pullers":        {bench + "load", bench + "proc", bench + "wire"},
	bench + "report":              {bench + "load", bench + "proc"},
	bench + "run":                 {bench + "bound", bench + "cgroup", bench + "load", bench + "proc", bench + "report", bench + "wire"},
	bench + "scenario/batch":      {bench + "bound", bench + "load", bench + "proc", bench + "run"},
	bench + "scenario/cold":       {bench + "bound", bench + "cgroup", bench + "load", bench + "proc", bench + "report", bench + "run", bench + "wire"},
	bench + "scenario/handles":    {bench + "bound", bench + "load", bench + "run", bench + "wire"},
	bench + "scenario/mix":        {bench + "bound", bench + "load", bench + "proc", bench + "report", bench + "run", bench + "wire"},
	bench + "scenario/saturation": {bench + "bound", bench + "load", bench + "load/pullers", bench + "proc", bench + "report", bench + "run"},
	bench + "scenario": {
		bench + "bound", bench + "cgroup", bench + "load", bench + "proc", bench + "report", bench + "run", bench + "scenario/batch", bench + "scenario/cold", bench + "scenario/handles", bench + "scenario/mix",
		bench + "scenario/saturation", bench + "wire",
	},
	bench + "peer": {bench + "bound", bench + "load", bench + "proc", bench + "report", bench + "run", bench + "scenario", bench + "wire"},
	// What attacks the relay.
	bench + "attack/client": {bench + "wire"},
	bench + "attack/books":  {bench + "attack/client"},
	bench + "attack/relay":  {bench + "attack/books", bench + "attack/client", bench + "cgroup", bench + "load", bench + "proc", bench + "wire"},
	bench + "attack/drill":  {bench + "attack/books", bench + "attack/client", bench + "attack/relay", bench + "wire"},
	bench + "attack/honest": {bench + "attack/client", bench + "attack/relay", bench + "load"},
	// What runs for an hour.
	bench + "record": {},
	bench + "soak": {
		bench + "attack/books", bench + "bound", bench + "cgroup", bench + "load", bench + "proc", bench + "record", bench + "report", bench + "run", bench + "scenario/mix",
	},
	bench + "retention": {
		bench + "attack/books", bench + "bound", bench + "load", bench + "record", bench + "report", bench + "run", bench + "wire",
	},
	bench + "attack": {
		bench + "attack/books", bench + "attack/client", bench + "attack/drill", bench + "attack/honest",
		bench + "attack/relay", bench + "cgroup", bench + "proc", bench + "report",
	},
	bench + "model": {},
	bench + "plot":  {bench + "load", bench + "report", bench + "retention", bench + "soak"},
	// What only tests of the load generator need.
	bench + "internal/tiny":  {},
	bench + "internal/short": {bench + "bound", bench + "internal/tiny", bench + "load/pullers", bench + "report", bench + "run", bench + "wire"},
	"cowrelay/cmd/relaybench": {
		bench + "attack", bench + "attack/drill", bench + "bound", bench + "load/pullers", bench + "model", bench + "peer",
		bench + "plot", bench + "record", bench + "report", bench + "retention", bench + "run", bench + "scenario", bench + "soak",
	},
	// The relay's program. Only its root knows all rooms; use speaks to a relay as any
	// client does.
	"cowrelay/cmd/cowrelay/docs": {},
	server + "command":           {},
	server + "host":              {},
	server + "human":             {},
	server + "probe":             {},
	server + "term":              {},
	server + "wholefile":         {},
	server + "use":               {relay + "client", server + "command", server + "human", server + "term", server + "wholefile"},
	server + "otlp":              {slots + "rate", relay + "trace"},
	server + "plan":              {slots + "engine", "cowrelay/fasthttp", relay + "admin"},
	server + "certs":             {server + "wholefile"},
	server + "config":            {slots + "filelog", "cowrelay/fasthttp", relay + "coding", relay + "limit", server + "certs", server + "command", server + "host", server + "otlp", server + "plan", server + "wholefile"},
	server + "adminclient":       {server + "command", server + "config"},
	server + "fleet":             {"cowrelay/cow", relay + "admin", relay + "refusal"},
	server + "handover":          {relay + "conn"},
	server + "serve": {
		"cowrelay/cow", slots + "engine", slots + "filelog", slots + "natslog", slots + "rendezvous", slots + "retention", "cowrelay/fasthttp", relay + "admin", relay + "manual", relay + "stats", relay + "trace", "cowrelay/cmd/cowrelay/docs", server + "command",
		server + "certs", server + "config", server + "fleet", server + "handover", server + "human", server + "otlp", server + "plan", server + "probe", server + "term", server + "trim", server + "wholefile",
	},
	server + "trim": {server + "plan"},
	server + "offline": {
		"cowrelay/cow", slots + "card", slots + "engine", slots + "event", slots + "filelog", slots + "pebblestore", slots + "rendezvous", relay + "stats",
		server + "adminclient", server + "command", server + "term", server + "wholefile",
	},
	server + "backup": {
		slots + "engine", slots + "pebblestore", relay + "admin", server + "adminclient", server + "command", server + "config", server + "human", server + "term", server + "wholefile",
	},
	server + "operate": {
		"cowrelay/cow", server + "adminclient", server + "command", server + "config", server + "human",
		server + "probe", server + "term",
	},
	server + "doctor":                  {server + "certs", server + "command", server + "config", server + "human", server + "plan", server + "probe", server + "term"},
	server + "root":                    {server + "backup", server + "command", server + "config", server + "doctor", server + "offline", server + "operate", server + "serve", server + "term", server + "use"},
	"cowrelay/cmd/cowrelay":            {server + "root"},
	"cowrelay/cmd/cowrelay/deploy/man": {server + "root", server + "wholefile"},
	// Tests of the built relay, which are clients of it. The harness also fills stores
	// without one.
	server + "e2e/backup":   {},
	server + "e2e/commands": {},
	server + "e2e/crash":    {},
	server + "e2e/fleet":    {},
	server + "e2e/life":     {},
	server + "e2e/outside":  {},
	server + "relaytest":    {"cowrelay/cow", slots + "engine", slots + "event", slots + "filelog"},
}

// Foreign packages that only one side may know.
var never = map[string][]string{
	"cowrelay/cow/event":        {"net/http", "github.com/valyala", "github.com/cockroachdb", "github.com/VictoriaMetrics"},
	"cowrelay/cow":              {"net/http", "github.com/valyala", "github.com/cockroachdb", "github.com/VictoriaMetrics"},
	"cowrelay/cow/replay":       {"net/http", "github.com/valyala", "github.com/cockroachdb", "github.com/VictoriaMetrics"},
	"cowrelay/cow/engine":       {"net/http", "github.com/valyala/fasthttp"},
	"cowrelay/cow/filelog":      {"net/http", "github.com/valyala", "github.com/cockroachdb", "github.com/VictoriaMetrics"},
	"cowrelay/cow/natslog":      {"github.com/valyala", "github.com/cockroachdb", "github.com/VictoriaMetrics"}, // by HTTP it asks NATS servers what they promise
	"cowrelay/cow/pebblestore":  {"net/http", "github.com/valyala/fasthttp"},
	"cowrelay/fasthttp":         {"github.com/cockroachdb", "github.com/getkin", "go.opentelemetry.io"}, // its tests validate by it
	"cowrelay/fasthttp/coding":  {"net/http", "github.com/valyala", "github.com/cockroachdb", "github.com/VictoriaMetrics"},
	"cowrelay/fasthttp/stats":   {"net/http", "github.com/valyala", "github.com/cockroachdb"},
	"cowrelay/fasthttp/admin":   {"github.com/valyala", "github.com/cockroachdb"},
	"cowrelay/fasthttp/conn":    {"net/http", "github.com/valyala", "github.com/cockroachdb", "github.com/VictoriaMetrics"},
	"cowrelay/fasthttp/poll":    {"net/http", "github.com/valyala", "github.com/cockroachdb", "github.com/VictoriaMetrics"},
	"cowrelay/fasthttp/accept":  {"net/http", "github.com/valyala", "github.com/cockroachdb"},
	"cowrelay/fasthttp/refusal": {"github.com/valyala", "github.com/cockroachdb"},
	"cowrelay/fasthttp/redact":  {"net/http", "github.com/valyala"},
	"cowrelay/fasthttp/trace":   {"net/http", "github.com/valyala", "go.opentelemetry.io"},
	"cowrelay/fasthttp/stream":  {"net/http", "github.com/valyala", "github.com/cockroachdb", "github.com/VictoriaMetrics"},
}

type goPackage struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-pgo=off", "-json=ImportPath,Dir,Imports,GoFiles", "cowrelay/...")
	cmd.Env = append(os.Environ(), "GOOS=linux") // the rule is for all files of the relay's first system
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// benchMayImport says whether a load generator may import a package: whatever the
// table allows, it stands outside of the relay. NATS as a peer is a module of its
// own, bench/peers, so that the relay's does not need it.
func benchMayImport(path string) bool {
	if strings.HasPrefix(path, "cowrelay/") {
		return strings.HasPrefix(path, bench) || path == "cowrelay/fasthttp/client" || path == slots+"natslog/natstest"
	}
	return !strings.HasPrefix(path, "github.com/nats-io")
}

func TestLayout_ImportsFollowTheRule(t *testing.T) {
	list := listPackages(t)
	for path := range mayImport {
		if !slices.ContainsFunc(list, func(p goPackage) bool { return p.ImportPath == path }) {
			t.Errorf("the rule of the tree names %s, which is not there", path)
		}
	}
	for _, p := range list {
		allowed, known := mayImport[p.ImportPath]
		if !known {
			t.Errorf("package %s is not in the rule of the tree", p.ImportPath)
		}
		for _, path := range allowed {
			if !slices.Contains(p.Imports, path) {
				t.Errorf("%s may import %s and does not: the rule can be tighter", p.ImportPath, path)
			}
		}
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "cowrelay") && !slices.Contains(allowed, imp) {
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
			if strings.HasPrefix(p.ImportPath+"/", bench) && !benchMayImport(imp) {
				t.Errorf("%s imports %s, which is not for a client", p.ImportPath, imp)
			}
			for _, prefix := range never[p.ImportPath] {
				if strings.HasPrefix(imp, prefix) {
					t.Errorf("%s imports %s", p.ImportPath, imp)
				}
			}
		}
	}
}

// Ours is relayhttp everywhere but at home; upstream is imported bare at home.
func TestLayout_ImportAliases(t *testing.T) {
	for _, p := range listPackages(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range f.Imports {
				switch alias := imp.Name; strings.Trim(imp.Path.Value, `"`) {
				case "cowrelay/fasthttp":
					if alias == nil || alias.Name != "relayhttp" {
						t.Errorf("%s imports cowrelay/fasthttp without the name relayhttp", name)
					}
				case "github.com/valyala/fasthttp":
					if alias != nil && p.ImportPath == "cowrelay/fasthttp" && f.Name.Name == "fasthttp" {
						t.Errorf("%s renames upstream to %s", name, alias.Name)
					}
				}
			}
		}
	}
}

// Ours exports no name that upstream exports, so that a reader is never in
// doubt which one is meant.
func TestLayout_NoNameOfUpstream(t *testing.T) {
	ours := exportedNames(t, "cowrelay/fasthttp")
	theirs := exportedNames(t, "github.com/valyala/fasthttp")
	if len(ours) == 0 || len(theirs) < 50 {
		t.Fatalf("found %d and %d exported names", len(ours), len(theirs))
	}
	for name := range ours {
		if theirs[name] {
			t.Errorf("both packages export %s", name)
		}
	}
}

func exportedNames(t *testing.T, path string) map[string]bool {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", path, err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() {
					names[d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							names[s.Name.Name] = true
						}
					case *ast.ValueSpec:
						for _, n := range s.Names {
							if n.IsExported() {
								names[n.Name] = true
							}
						}
					}
				}
			}
		}
	}
	return names
}

// The tests of the built relay don't run under the race detector, so there is nothing
// but tests beside them. What they import has tests of its own.
func TestLayout_BesideTestsOfTheBinaryIsNoCode(t *testing.T) {
	n := 0
	for _, p := range listPackages(t) {
		if !strings.HasPrefix(p.ImportPath, server+"e2e/") {
			continue
		}
		n++
		main, err := os.ReadFile(filepath.Join(p.Dir, "main_test.go"))
		if err != nil || !strings.Contains(string(main), "relaytest.Main(m)") || len(p.GoFiles) > 0 {
			t.Errorf("%s: its tests have to be of the built relay, and it may have no code: %v, %v", p.ImportPath, p.GoFiles, err)
		}
	}
	if n < 4 {
		t.Errorf("only %d packages of tests of the built relay", n)
	}
}

// What lies at the top is fixed.
func TestLayout_TopLevel(t *testing.T) {
	allowed := []string{"cmd", "cow", "fasthttp", "bench", "go.mod", "go.sum", "Makefile", "profiles", "README.md", "CHANGELOG.md", "LICENSE"}
	entries, err := os.ReadDir(moduleRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !slices.Contains(allowed, name) && !slices.Contains(built, name) {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
}
