package serve

import (
	"errors"
	"log/slog"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/handover"

	"github.com/spf13/cobra"
)

// NewCommand returns the command serve. args are the whole command line.
func NewCommand(args []string) *cobra.Command {
	var l *config.Layers
	var acceptLoss, leaveFleet bool
	var joins joining
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the relay until SIGTERM or SIGINT",
		Example: "  cowrelay serve --bind 127.0.0.1:8770 --data-dir /var/lib/cowrelay",
		GroupID: command.GroupServe,
		RunE: func(cmd *cobra.Command, _ []string) error {
			trying := handover.Trying()
			taken, err := handover.Take()
			if err != nil {
				return err
			}
			run := func() error {
				c, err := l.Load()
				if err != nil {
					return err
				}
				if err := joins.check(c); err != nil {
					return command.Usage(err)
				}
				if leaveFleet && c.Shared() {
					return command.Usage(errors.New("--leave-fleet: it is for --journal file: a relay that leaves its fleet has a log of its own"))
				}
				if trying {
					return try(cmd, c)
				}
				s := &server{tuner: &tuner{Config: c, layers: l, level: new(slog.LevelVar)}, version: cmd.Root().Version, acceptLoss: acceptLoss, leaveFleet: leaveFleet, joins: joins, taken: taken}
				return s.serve(cmd.ErrOrStderr())
			}
			return taken.Back(run())
		},
	}
	l = config.Bind(cmd, args)
	// It is for one start, so it is no setting: a file or the environment would keep it.
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "start with a damaged commit log: drop it from the damage on, and lose what the store does not have; without damage it does nothing")
	f := cmd.Flags()
	f.StringVar(&joins.url, "join", "", "of --journal jetstream: URL of another relay's --admin listener; if the data folder is empty, the store is copied from there first")
	f.StringVar(&joins.token, "join-token-file", "", "file with the admin token of that relay; else COWRELAY_ADMIN_TOKEN holds it")
	f.BoolVar(&leaveFleet, "leave-fleet", false, "of --journal file: start on the data folder of a relay of a fleet; it goes on alone and can't come back but empty")
	command.NoFiles(cmd, "join")
	return cmd
}
