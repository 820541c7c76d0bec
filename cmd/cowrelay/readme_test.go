package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/config"
	relayhttp "cowrelay/fasthttp"
)

const readme = "../../README.md"

var update = flag.Bool("update", false, "write the manual's generated tables")

// The manual's tables are what the code says. Write them anew with
// go test ./cmd/cowrelay -run TestManual -update
func TestManual_Tables(t *testing.T) {
	for _, part := range []struct{ name, file, want string }{
		{"flags", "docs/configuration.md", flagTable()},
		{"metrics", "docs/metrics.md", metricTable()},
	} {
		data, err := os.ReadFile(part.file)
		if err != nil {
			t.Fatal(err)
		}
		begin, end := "<!-- "+part.name+" -->\n", "<!-- /"+part.name+" -->"
		head, rest, ok1 := strings.Cut(string(data), begin)
		got, tail, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Errorf("%s lacks the lines %q and %q", part.file, strings.TrimSpace(begin), end)
			continue
		}
		if got == part.want {
			continue
		}
		if !*update {
			t.Errorf("%s: the %s are not what the code says: go test ./cmd/cowrelay -run TestManual -update", part.file, part.name)
			continue
		}
		if err := os.WriteFile(part.file, []byte(head+begin+part.want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// cell makes a text fit for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func flagTable() string {
	var b strings.Builder
	b.WriteString("| flag | variable | default | SIGHUP | what it is |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range config.Settings() {
		def := ""
		if s.Value != "" {
			def = "`" + s.Value + "`"
		}
		reload := ""
		if s.Live {
			reload = "yes"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s |\n", s.Name, s.Env(), def, reload, cell(s.Help))
	}
	return b.String()
}

func metricTable() string {
	var b strings.Builder
	b.WriteString("| metric | type | what it is |\n| --- | --- | --- |\n")
	for _, m := range relayhttp.MetricTable() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, m.Type, cell(m.Help))
	}
	return b.String()
}
