// Command man writes the manual pages of cowrelay, one for each command, from the
// commands themselves:
//
//	go run ./cmd/cowrelay/deploy/man DIR
//
// It is a program of its own, because the pages are made once for a release, and
// what makes them (a Markdown parser, whose regular expressions are compiled at
// every start) has no place in the server's binary.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cowrelay/cmd/cowrelay/internal/root"
	"cowrelay/cmd/cowrelay/internal/wholefile"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// version is set by the release build, as the server's is.
var version string

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: man DIR\nIt makes the folder if it is missing. SOURCE_DATE_EPOCH sets the date on the pages.")
		os.Exit(2)
	}
	if err := write(version, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// write writes the pages of all commands into a folder.
func write(release, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder: %w", err)
	}
	cmd := root.New(release, nil)
	cmd.InitDefaultCompletionCmd() // cobra adds it when a command runs
	cmd.DisableAutoGenTag = true
	header := &doc.GenManHeader{Section: "1", Source: "cowrelay " + cmd.Version, Manual: "cowrelay"}
	if err := writePages(cmd, header, dir); err != nil {
		return fmt.Errorf("cannot write the pages: %w", err)
	}
	return nil
}

// writePages writes the pages of a command and of those below it.
func writePages(cmd *cobra.Command, header *doc.GenManHeader, dir string) error {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
			if err := writePages(c, header, dir); err != nil {
				return err
			}
		}
	}
	var page bytes.Buffer
	own := *header // GenMan fills it in for this page
	if err := doc.GenMan(cmd, &own, &page); err != nil {
		return err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + "." + header.Section
	return wholefile.Write(filepath.Join(dir, name), page.Bytes(), 0o644)
}
