package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/config"
	relayhttp "cowrelay/fasthttp"

	"go.yaml.in/yaml/v3"
)

// cell makes a text fit for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// checkTable holds what stands between two markers of a page against what the
// code says, or writes it.
func checkTable(t *testing.T, path, name, want string) {
	t.Helper()
	text := readPage(t, path).text
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	head, rest, ok1 := strings.Cut(text, begin)
	got, tail, ok2 := strings.Cut(rest, end)
	switch {
	case !ok1 || !ok2:
		t.Errorf("%s lacks the lines %q and %q", path, strings.TrimSpace(begin), end)
	case got == want:
	case !*update:
		t.Errorf("%s: the %s are not what the code says: go test ./cmd/cowrelay/docs -run Tables -update", path, name)
	default:
		if err := os.WriteFile(filepath.Join(root, path), []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTables_Flags(t *testing.T) {
	var b strings.Builder
	b.WriteString("| flag | variable | default | SIGHUP | what it is |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range config.Settings() {
		def, reload := "", ""
		if s.Value != "" {
			def = "`" + s.Value + "`"
		}
		if s.Live {
			reload = "yes"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s |\n", s.Name, s.Env(), def, reload, cell(s.Help))
	}
	checkTable(t, "cmd/cowrelay/docs/configuration.md", "flags", b.String())
}

func TestTables_Metrics(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | type | what it is |\n| --- | --- | --- |\n")
	for _, m := range relayhttp.MetricTable() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, m.Type, cell(m.Help))
	}
	checkTable(t, "cmd/cowrelay/docs/metrics.md", "metrics", b.String())
}

func TestTables_Alerts(t *testing.T) {
	data, err := os.ReadFile("../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, For          string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| alert | severity | after | what it says |\n| --- | --- | --- | --- |\n")
	variables := regexp.MustCompile(`\{\{ \$labels\.([a-z]+) \}\}|\{\{ \$(value)[^}]*\}\}`)
	n := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			n++
			after := r.For
			if after == "" {
				after = "at once"
			}
			says := variables.ReplaceAllStringFunc(r.Annotations["summary"], func(s string) string {
				m := variables.FindStringSubmatch(s)
				return "*" + m[1] + m[2] + "*"
			})
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Alert, r.Labels["severity"], after, cell(says))
		}
	}
	if n < 20 {
		t.Fatalf("found %d alerts", n)
	}
	checkTable(t, "cmd/cowrelay/docs/metrics.md", "alerts", b.String())
}

// The routes of using.md are those of the OpenAPI description, with the same
// methods, HEAD aside.
func TestTables_Routes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "fasthttp/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Paths map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal(data, &api); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for path, methods := range api.Paths {
		for method := range methods {
			if method != "head" && method != "parameters" {
				want = append(want, strings.ToUpper(method)+" "+path)
			}
		}
	}
	_, rest, _ := strings.Cut(readPage(t, "cmd/cowrelay/docs/using.md").text, "\n## Routes\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
			route, _, _ := strings.Cut(m[1], "?")
			method, path, ok := strings.Cut(route, " ")
			if !ok && strings.HasPrefix(m[1], "/") { // one of a page's files
				method, path = "GET", m[1]
			}
			if path = strings.Replace(path, "/web/…", "/web/{file}", 1); strings.HasPrefix(path, "/") {
				got = append(got, method+" "+path)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("using.md has the routes\n%s\nopenapi.yaml\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
