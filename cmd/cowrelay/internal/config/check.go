package config

import (
	"fmt"
	"io"
	"strconv"

	"cowrelay/cmd/cowrelay/internal/certs"
	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/host"
	"cowrelay/cmd/cowrelay/internal/plan"

	"github.com/spf13/cobra"
)

// NewCheckCommand returns the command check-config. args are the whole command line.
func NewCheckCommand(args []string) *cobra.Command {
	var l *Layers
	var machine bool
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Check file, environment and flags, print what would apply",
		Long: `check-config reads the configuration as serve would, and prints what would apply:
one setting a line, with where its value is from: a flag, a variable, a line of the
file, or the default. It lists all mistakes at once. It also lists files that others on the machine can
reach and should not. With --host it lists settings of the kernel that are too low for
all connections, with what to set them to.`,
		Example: "  cowrelay check-config --config cowrelay.toml",
		GroupID: command.GroupServe,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := l.Load()
			if err != nil {
				return err
			}
			files, err := plan.Files(c.MaxConns)
			if err != nil {
				return err
			}
			c.print(cmd.OutOrStdout(), files)
			for _, name := range c.Unread() {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s: nothing reads this variable\n", name)
			}
			for _, text := range c.Idle() {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", text)
			}
			if c.TLSCert != "" {
				if _, err := (certs.Pair{Cert: c.TLSCert, Key: c.TLSKey}).Load(); err != nil {
					return fmt.Errorf("--tls-cert and --tls-key: %w", err)
				}
			}
			for _, e := range c.Exposed() {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", e)
			}
			if machine {
				return c.checkHost(cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return nil
		},
	}
	l = Bind(cmd, args)
	cmd.Flags().BoolVar(&machine, "host", false, "look at the settings of this machine's kernel, too")
	return cmd
}

// checkHost shows which settings of the kernel are enough for all connections, and
// warns of others.
func (c *Config) checkHost(out, warn io.Writer) error {
	list, err := host.Look(host.Root, c.MaxConns)
	for _, f := range list {
		if f.Want == "" {
			fmt.Fprintf(out, "# host: %s\n", f)
		} else {
			fmt.Fprintf(warn, "warning: %s\n", f)
		}
	}
	return err
}

// print shows what would run, with the budgets that follow from it.
func (c *Config) print(w io.Writer, files plan.OpenFiles) {
	for i, s := range c.settings {
		v, from := s.Shown(), c.origins[i]
		switch s.Name {
		case "memory-budget":
			v = strconv.FormatInt(c.MemoryBudget, 10) + "B"
		case "commit-wait":
			v = c.CommitWait.String()
		case "request-budget":
			v = strconv.FormatInt(plan.SplitBudget(c.MemoryBudget, c.RequestBudget, c.Shared()).Requests, 10) + "B"
		}
		if s.Name == "admin-token-file" && v == "" && c.AdminToken != "" {
			from = "the token is in " + AdminTokenVariable
		}
		fmt.Fprintf(w, "%s=%s  # %s\n", s.Name, v, from)
	}
	files.Print(w)
	fmt.Fprintln(w, "configuration ok")
}
