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
	var acceptLoss bool
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
			s := &server{tuner: &tuner{Config: c, layers: l, level: new(slog.LevelVar)}, version: cmd.Root().Version, acceptLoss: acceptLoss}
			return s.serve(cmd.ErrOrStderr())
		},
	}
	l = config.Bind(cmd, args)
	// It is for one start, so it is no setting: a file or the environment would keep it.
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "start with a damaged commit log: drop it from the damage on, and lose what the store does not have; without damage it does nothing")
	return cmd
}
