package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write man pages, one a command",
		Long: `man writes a page for each command into a folder, which it makes if missing.
SOURCE_DATE_EPOCH sets the date that they bear.`,
		Example: "  cowrelay man /usr/local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("cannot make the folder: %w", err)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: "1", Source: "cowrelay " + versionText(), Manual: "cowrelay"}
			if err := writePages(root, header, args[0]); err != nil {
				return fmt.Errorf("cannot write the pages: %w", err)
			}
			return nil
		},
	}
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
	own := *header // which the page completes
	if err := doc.GenMan(cmd, &own, &page); err != nil {
		return err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + "." + header.Section
	return writeWhole(filepath.Join(dir, name), page.Bytes(), 0o644)
}
