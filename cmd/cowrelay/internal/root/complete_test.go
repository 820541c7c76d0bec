package root

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A shell offers files for a flag or an argument only where files are wanted.
func TestComplete_FilesOnlyWhereWanted(t *testing.T) {
	files := []string{"config", "uds", "access-log-file", "admin-token-file", "token-file", "join-token-file", "nats-creds", "nats-ca", "nats-cert", "nats-key", "tls-cert", "tls-key", "file", "out", "left-out", "exec", "resume"}
	flags := 0
	eachCommand(testTree(t), func(cmd *cobra.Command, path []string) {
		cmd.InheritedFlags() // merges them
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			flags++
			_, offers := cmd.GetFlagCompletionFunc(f.Name)
			_, folder := f.Annotations[cobra.BashCompSubdirsInDir]
			if wanted := slices.Contains(files, f.Name); !wanted && !offers && !folder && f.NoOptDefVal == "" && !f.Hidden {
				t.Errorf("%v: --%s completes to files", path, f.Name)
			}
		})
		if cmd.Args != nil && cmd.ValidArgsFunction == nil && cmd.ValidArgs == nil && !cmd.HasAvailableSubCommands() {
			args := make([]string, 1)
			if cmd.Args(cmd, args) == nil && cmd.Name() != "serve" && cmd.Name() != "check-config" && cmd.Name() != "post" {
				t.Errorf("%v: an argument completes to files", path)
			}
		}
	})
	if flags < 150 {
		t.Errorf("looked at %d flags only", flags)
	}
}
