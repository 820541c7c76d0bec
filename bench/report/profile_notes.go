package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// headLines is how many functions of a profile NOTES.md lists.
const headLines = 25

// pprofTool runs `go tool pprof`, which every reader of profiles has.
func pprofTool(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // the first use builds it
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof"}, args...)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go tool pprof: %w\n%s", err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// WriteNotes puts the raw results of a profiled run beside its profiles, as
// result.jsonl, and begins NOTES.md: what was measured, where, by which
// command, the heads of the profiles, and sections for the author. If there is
// a NOTES.md, somebody has written it: it stays as it is, and fresh is false.
func WriteNotes(ctx context.Context, dir, command string, rs []Result) (fresh bool, err error) {
	var raw strings.Builder
	for _, r := range rs {
		if err := r.WriteJSON(&raw); err != nil {
			return false, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "result.jsonl"), []byte(raw.String()), 0o644); err != nil {
		return false, err
	}
	name := filepath.Join(dir, "NOTES.md")
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	text, err := profileNotes(ctx, dir, command, rs)
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(name, []byte(text), 0o644)
}

// profileNotes is the text of a fresh NOTES.md.
func profileNotes(ctx context.Context, dir, command string, rs []Result) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", profileTopic(dir))
	if len(rs) > 0 {
		m := &rs[0].Machine
		for _, f := range [][2]string{
			{"commit", m.Commit}, {"date", m.Date}, {"machine", m.Hardware()}, {"Go", m.Go}, {"data", m.DataFS}, {"command", "`" + command + "`"},
		} {
			if f[1] != "" {
				fmt.Fprintf(&b, "- %s: %s\n", f[0], f[1])
			}
		}
	}
	b.WriteString("\n```\n")
	for _, r := range rs {
		b.WriteString(r.Line() + "\n")
	}
	b.WriteString("```\n\n## Seen\n\n## Changed\n\n## Result\n\n## Kept or dropped\n\n## Heads of the profiles\n")
	for _, p := range []struct{ name, flag string }{
		{"cpu", "-flat"}, {"cpu", "-cum"}, {"allocs", "-sample_index=alloc_objects"},
		{"mutex", "-cum"}, {"block", "-cum"}, // the callers say whose wait it is
	} {
		out, err := pprofTool(ctx, "-top", p.flag, fmt.Sprintf("-nodecount=%d", headLines), filepath.Join(dir, p.name+".pprof"))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n`go tool pprof -top %s %s.pprof`\n\n```\n", p.flag, p.name)
		for line := range strings.Lines(strings.TrimSpace(out)) {
			b.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
		b.WriteString("```\n")
	}
	return b.String(), nil
}

// profileTopic is the name of a folder without its date.
func profileTopic(dir string) string {
	name := filepath.Base(dir)
	const date = "2006-01-02-"
	if len(name) > len(date) && strings.Count(name[:len(date)], "-") == 3 && name[len(date)-1] == '-' {
		return name[len(date):]
	}
	return name
}
