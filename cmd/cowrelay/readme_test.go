package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	relayhttp "cowrelay/fasthttp"
)

const readme = "../../README.md"

// README's tables are what the code says. Write them anew with
// go test ./cmd/cowrelay -run TestReadme -update
func TestReadme(t *testing.T) {
	data, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, part := range []struct{ name, want string }{{"flags", flagTable()}, {"metrics", metricTable()}} {
		begin, end := "<!-- "+part.name+" -->\n", "<!-- /"+part.name+" -->"
		head, rest, ok1 := strings.Cut(text, begin)
		got, tail, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Errorf("README.md lacks the lines %q and %q", strings.TrimSpace(begin), end)
			continue
		}
		if got == part.want {
			continue
		}
		if !*update {
			t.Errorf("README.md's %s are not what the code says: go test ./cmd/cowrelay -run TestReadme -update", part.name)
		}
		text = head + begin + part.want + end + tail
	}
	if *update && text != string(data) {
		if err := os.WriteFile(readme, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// cell makes a text fit for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func flagTable() string {
	var b strings.Builder
	b.WriteString("| flag | variable | default | SIGHUP | what it is |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range new(config).table() {
		def := ""
		if s.value != "" {
			def = "`" + s.value + "`"
		}
		reload := ""
		if s.live {
			reload = "yes"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s |\n", s.name, s.env(), def, reload, cell(s.help))
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
