package serve

import (
	"log/slog"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"

	"github.com/spf13/cobra"
)

// NewCommand returns the command serve. args are the whole command line.
func NewCommand(args []string) *cobra.Command {
	var l *config.Layers
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the relay until SIGTERM or SIGINT",
		Example: "  cowrelay serve --bind 127.0.0.1:8770 --data-dir /var/lib/cowrelay",
		GroupID: command.GroupServe,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := l.Load()
			if err != nil {
				return err
			}
			return serve(&tuner{Config: c, layers: l, level: new(slog.LevelVar)}, cmd.Root().Version, cmd.ErrOrStderr())
		},
	}
	l = config.Bind(cmd, args)
	return cmd
}
