package docs_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	heading = regexp.MustCompile(`(?m)^(#{1,6}) (.+)$`)
	link    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"`)
	unsaid  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchor is the name that GitHub gives a heading.
func anchor(title string) string {
	return strings.ReplaceAll(unsaid.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

func (p *page) anchors() (list []string) {
	for _, m := range heading.FindAllStringSubmatch(p.prose, -1) {
		list = append(list, anchor(m[2]))
	}
	return list
}

// Every link leads to a file that is there, and to a heading that is in it.
func TestDocs_LinksResolve(t *testing.T) {
	all := map[string]*page{}
	for _, p := range pages(t) {
		all[p.path] = p
	}
	found := 0
	for _, p := range all {
		for _, m := range link.FindAllStringSubmatch(p.prose, -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") {
				continue
			}
			found++
			file, fragment, hasFragment := strings.Cut(target, "#")
			to := p.path
			if file != "" {
				to = path.Join(path.Dir(p.path), file)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: link to %s: %v", p.path, target, err)
				continue
			}
			if hasFragment && (all[to] == nil || !slices.Contains(all[to].anchors(), fragment)) {
				t.Errorf("%s: %s has no heading for #%s", p.path, to, fragment)
			}
		}
	}
	if found < 50 {
		t.Errorf("found %d links only", found)
	}
}

// Each page begins with a list of its sections, in their order. README is short
// and has none.
func TestDocs_TableOfContents(t *testing.T) {
	entry := regexp.MustCompile(`(?m)^- \[(.+)\]\(#(.+)\)$`)
	for _, p := range pages(t) {
		if p.path == "README.md" || p.path == "bench/results/README.md" || p.path == "cmd/cowrelay/docs/README.md" {
			continue
		}
		var want, got []string
		for _, m := range heading.FindAllStringSubmatch(p.prose, -1) {
			if m[1] == "##" {
				want = append(want, m[2]+" "+anchor(m[2]))
			}
		}
		head, _, _ := strings.Cut(p.prose, "\n## ")
		for _, m := range entry.FindAllStringSubmatch(head, -1) {
			got = append(got, m[1]+" "+m[2])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the contents are not its sections:\n%s\nbut\n%s", p.path, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestDocs_ReadmeIsShort(t *testing.T) {
	if n := strings.Count(readPage(t, "README.md").text, "\n"); n > 200 {
		t.Errorf("README.md has %d lines", n)
	}
}

// Every file and folder that a page names is there.
func TestDocs_PathsExist(t *testing.T) {
	// A path begins at the top of the tree, or is one of its folders.
	named := regexp.MustCompile(`^(?:\./)?((?:cmd|cow|fasthttp|bench|profiles|deploy|internal)(?:/[A-Za-z0-9_.*-]+)+/?|(?:cow|fasthttp|bench|profiles)/?|[a-z_]+\.(?:go|md|yml|toml|service|sh))$`)
	found := 0
	for _, p := range pages(t) {
		for _, span := range p.code() {
			for word := range strings.FieldsSeq(span) {
				m := named.FindStringSubmatch(strings.Trim(word, `,;:'"()`))
				if m == nil {
					continue
				}
				found++
				if !pathExists(t, p.path, m[1]) {
					t.Errorf("%s names %s, which is not there", p.path, m[1])
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("found %d paths only", found)
	}
}

// pathExists looks for a path at the root, beside the page and, for a bare name
// of a file, anywhere in the tree.
func pathExists(t *testing.T, from, name string) bool {
	if made[name] {
		return true
	}
	for _, dir := range []string{root, filepath.Join(root, path.Dir(from)), ".."} {
		if found, err := filepath.Glob(filepath.Join(dir, name)); err == nil && len(found) > 0 {
			return true
		}
	}
	if strings.Contains(name, "/") {
		return false
	}
	return slices.Contains(treeFiles(t), name)
}

// made are files that the commands of a page make, or that stand for one.
var made = map[string]bool{"cowrelay.toml": true, "bench/results/FILE.jsonl": true, "cmd/cowrelay/deploy/admin-token": true}

var tree []string

// treeFiles returns the names of all files of the repository.
func treeFiles(t *testing.T) []string {
	t.Helper()
	if tree == nil {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == ".git" || d.Name() == ".cache" || d.Name() == "bin" || d.Name() == "cowrelay-data") {
				return filepath.SkipDir
			}
			tree = append(tree, d.Name())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// contributing.md maps every package, or a folder above it.
func TestDocs_MapIsWhole(t *testing.T) {
	out, err := exec.Command("go", "list", "cowrelay/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	_, rest, _ := strings.Cut(readPage(t, "cmd/cowrelay/docs/contributing.md").text, "\n## The map of the tree\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	rows := map[string]bool{}
	for line := range strings.Lines(section) {
		if m := codeSpan.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, "| `") {
			rows[m[1]] = true
		}
	}
	for dir := range strings.FieldsSeq(string(out)) {
		dir = strings.TrimPrefix(dir, "cowrelay/")
		above := path.Dir(dir)
		// Rooms of a room are for its own doc comment.
		within := strings.Contains(above, "/") && rows[above] && above != "cmd/cowrelay"
		if !rows[dir] && !within {
			t.Errorf("contributing.md does not map %s", dir)
		}
	}
}

// Every make target that a page names is in the Makefile, and contributing.md
// says what each is for.
func TestDocs_MakeTargets(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	var described []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):(.*)$`).FindAllStringSubmatch(string(data), -1) {
		targets[m[1]] = true
		if strings.Contains(m[2], "## ") {
			described = append(described, m[1])
		}
	}
	if len(described) < 20 {
		t.Fatalf("found %d targets", len(described))
	}
	call := regexp.MustCompile(`^make ([a-z-]+)`)
	for _, p := range pages(t) {
		for _, span := range p.code() {
			if m := call.FindStringSubmatch(span); m != nil && !targets[m[1]] {
				t.Errorf("%s: there is no target %s", p.path, m[0])
			}
		}
	}
	text := readPage(t, "cmd/cowrelay/docs/contributing.md").text
	for _, name := range described {
		if name != "help" && !strings.Contains(text, "| `make "+name+"` |") {
			t.Errorf("contributing.md does not say what make %s is for", name)
		}
	}
}

// Each line of the table of failures names the tests that hold it.
func TestDocs_FailuresAreTested(t *testing.T) {
	var tests strings.Builder
	files, err := filepath.Glob(filepath.Join(root, "cmd/cowrelay/internal/e2e/fleet/*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	list := rows(t, "cmd/cowrelay/docs/fleet.md", "When something fails")
	if len(list) < 10 {
		t.Fatalf("%d lines", len(list))
	}
	for _, row := range list[1:] {
		held := row[len(row)-1]
		if len(row) != 4 || !strings.Contains(held, "`") {
			t.Errorf("no test is named: %v", row)
		}
		for _, m := range codeSpan.FindAllStringSubmatch(held, -1) {
			if name := m[1]; strings.HasPrefix(name, "Test") && !strings.Contains(tests.String(), "func "+name+"(") {
				t.Errorf("there is no %s", name)
			}
		}
	}
}
