package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cow"
	"cowrelay/cow/event"
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
			reload = "SIGHUP" // the page shows the row without the head
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
	var book strings.Builder // what to do: the headings that runbook_url names
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
			fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r.Alert, strings.ToLower(r.Alert), r.Labels["severity"], after, cell(says))
			what := variables.ReplaceAllString(r.Annotations["description"], "*$1$2*")
			fmt.Fprintf(&book, "### %s\n\n%s\n\n", r.Alert, what)
			if url := "cmd/cowrelay/docs/metrics.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != url {
				t.Errorf("%s: its runbook_url is %q, want %q", r.Alert, r.Annotations["runbook_url"], url)
			}
		}
	}
	if n < 20 {
		t.Fatalf("found %d alerts", n)
	}
	checkTable(t, "cmd/cowrelay/docs/metrics.md", "alerts", b.String())
	checkTable(t, "cmd/cowrelay/docs/metrics.md", "runbook", book.String())
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

// rows returns the rows of the tables in a section, cell by cell.
func rows(t *testing.T, path, section string) (list [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(readPage(t, path).text, "\n## "+section+"\n")
	if !ok {
		t.Fatalf("%s has no section %s", path, section)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| ---") {
			list = append(list, strings.Split(strings.Trim(line, "| "), " | "))
		}
	}
	return list
}

// The admin API's table has the routes that the listener has.
func TestTables_AdminRoutes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "fasthttp/admin/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	handled := regexp.MustCompile(`handle\("([A-Z]+ /admin/v1/[^"]*)"`)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range handled.FindAllStringSubmatch(string(data), -1) {
			want = append(want, m[1])
		}
	}
	for _, row := range rows(t, "cmd/cowrelay/docs/operating.md", "The admin API") {
		if route, _, _ := strings.Cut(strings.Trim(row[0], "`"), "?"); strings.Contains(route, "/admin/v1/") {
			got = append(got, route)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) < 8 || !slices.Equal(got, want) {
		t.Errorf("operating.md has the routes\n%s\nthe listener\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The limits that pages name are those of the code.
func TestTables_Limits(t *testing.T) {
	grouped := func(n int) string {
		s := fmt.Sprint(n)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	}
	defaults := map[string]string{}
	for _, s := range config.Settings() {
		defaults[s.Name] = s.Value
	}
	slots, err := strconv.Atoi(defaults["max-slots"])
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"one event, white space removed": grouped(event.MaxBytes) + " bytes",
		"body of a post":                 fmt.Sprint(event.MaxBodyBytes>>20, " MiB"),
		"all events of a slot":           grouped(cow.MaxSlotBytes) + " bytes",
		"an `event_id`":                  fmt.Sprint(event.MaxIDBytes, " bytes"),
		"nesting of a post's body":       fmt.Sprint(event.MaxDepth, " levels"),
		"slots":                          grouped(slots) + " (`--max-slots`)",
	}
	for _, row := range rows(t, "cmd/cowrelay/docs/using.md", "Limits") {
		if limit, ok := want[row[0]]; ok {
			if row[1] != limit {
				t.Errorf("using.md: %s: %s, not %s", row[0], row[1], limit)
			}
			delete(want, row[0])
		}
	}
	if len(want) > 0 {
		t.Errorf("using.md lacks limits: %v", want)
	}

	var rates []string
	for _, row := range rows(t, "cmd/cowrelay/docs/configuration.md", "Rate limits")[1:] {
		rates = append(rates, strings.Trim(row[0], "`")+"="+strings.ReplaceAll(strings.ReplaceAll(row[2], ", ", "/"), ",", ""))
	}
	if got := strings.Join(rates, ","); got != defaults["rate-limits"] {
		t.Errorf("configuration.md has the rates %s, the default is %s", got, defaults["rate-limits"])
	}
}
