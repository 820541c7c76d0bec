package soak

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cowrelay/bench/record"
)

// writeNotes begins NOTES.md in the folder. One that is there stays: somebody has
// written it.
func writeNotes(dir string, r *Record, v *record.Verdict) error {
	name := filepath.Join(dir, "NOTES.md")
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(name, []byte(notes(r, v)), 0o644)
}

func notes(r *Record, v *record.Verdict) string {
	var b strings.Builder
	m := &r.Setup.Machine
	fmt.Fprintf(&b, "# Soak\n\n## Run\n\nThe load mix beside the relay: %s.\n\n", r.Setup.Variant)
	if r.Setup.Command != "" {
		fmt.Fprintf(&b, "```\n%s\n```\n\n", r.Setup.Command)
	}
	fmt.Fprintf(&b, "%s, %s, %s, commit %s, %s.\n\n", m.Hardware(), m.Go, m.DataFS, m.Commit, m.Date)
	if r.Load != nil {
		fmt.Fprintf(&b, "%s\n\n", r.Load.Line())
	}
	verdict := "All bars hold."
	if !v.OK {
		verdict = "NOT ALL BARS HOLD."
	}
	fmt.Fprintf(&b, "## Verdict\n\n%s\n\n| bar | | figures |\n| --- | --- | --- |\n", verdict)
	for _, bar := range v.Bars {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", bar.Name, bar.Word(), bar.Text)
	}
	fmt.Fprintf(&b, "\nAll readings are in `%s`: a sample every few seconds, the books every few minutes, and the posts of each minute.\n\n", FileName)
	b.WriteString("## Seen\n\n")
	return b.String()
}
