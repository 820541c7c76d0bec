package root

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"cowrelay/cmd/cowrelay/internal/command"

	"github.com/spf13/cobra"
)

// newVersionCommand returns the command version.
func newVersionCommand(release string) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  command.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), versionLine(release)) },
	}
}

// versionLine is what version prints: the release, the compiler and the machine.
func versionLine(release string) string {
	return fmt.Sprintf("cowrelay %s %s %s/%s", versionText(release), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// versionText is the release, or if that is "" the commit that the binary was built
// from.
func versionText(release string) string {
	if release != "" {
		return release
	}
	text := "dev"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && len(s.Value) >= 12:
				text = "dev-" + s.Value[:12]
			case s.Key == "vcs.modified" && s.Value == "true":
				text += "-dirty"
			}
		}
	}
	return text
}
