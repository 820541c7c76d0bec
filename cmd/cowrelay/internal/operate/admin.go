package operate

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cow"

	"github.com/spf13/cobra"
)

func NewAdminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Look at a running relay's slots, block them, and more",
		Long: `admin speaks to the admin listener of a running relay. On a terminal it prints
tables; in a pipe, or with --json, one JSON object a line.`,
		Example: `  cowrelay admin slots --by posts
  cowrelay admin block 3d6f0a8c2b1e4f5a9c7d8e0f1a2b3c4d --reason "posts without end"
  cowrelay admin log-level debug`,
		GroupID: command.GroupOperate,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Usage(errors.New("which command?\n\n" + cmd.UsageString()))
		},
	}
	f := cmd.PersistentFlags()
	adminclient.AddFlags(f)
	f.Bool("json", false, "print JSON lines also on a terminal")
	cmd.AddCommand(
		adminCommand("status", "Tell how the relay is", cobra.NoArgs, adminStatus),
		newAdminSlots(),
		adminCommand("slot ID...", "Tell all about slots", slotIDs, eachSlot(func(s *adminSession, id string) error {
			return s.show(http.MethodGet, "/admin/v1/slots/"+id, nil, printSlot)
		})),
		newAdminBlock(),
		adminCommand("unblock ID...", "Let blocked slots be used again", slotIDs, eachSlot(func(s *adminSession, id string) error {
			return s.act(http.MethodPost, "/admin/v1/slots/"+id+"/unblock", map[string]string{}, "unblocked "+id)
		})),
		newAdminRemove(),
		newAdminLogLevel(),
		newAdminDrain(),
	)
	return cmd
}

// adminSession is one run of an admin command.
type adminSession struct {
	*adminclient.Client
	cmd  *cobra.Command
	json bool
}

// adminCommand returns a command that runs f with the relay at hand.
func adminCommand(use, short string, args cobra.PositionalArgs, f func(*adminSession, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := adminclient.New(cmd.Flags())
			if err != nil {
				return err
			}
			asked, err := cmd.Flags().GetBool("json")
			if err != nil {
				return err
			}
			ctx, stop := command.UntilInterrupted(cmd)
			defer stop()
			cmd.SetContext(ctx)
			return f(&adminSession{client, cmd, asked || !term.IsTerminal(cmd.OutOrStdout())}, args)
		},
	}
}

// slotIDs accepts one slot id or more.
func slotIDs(cmd *cobra.Command, args []string) error {
	if err := cobra.MinimumNArgs(1)(cmd, args); err != nil {
		return errors.New("which slot? Give its id")
	}
	for _, id := range args {
		if _, ok := cow.ParseID(id); !ok {
			return fmt.Errorf("%q is no slot id: 32 lowercase hex digits", id)
		}
	}
	return nil
}

// eachSlot runs f for each id, also after one failed.
func eachSlot(f func(*adminSession, string) error) func(*adminSession, []string) error {
	return func(s *adminSession, ids []string) error {
		var errs []error
		for _, id := range ids {
			if err := f(s, id); err != nil {
				errs = append(errs, err)
			}
			if errors.Is(errors.Join(errs...), adminclient.ErrUnreachable) || s.cmd.Context().Err() != nil {
				break
			}
		}
		return errors.Join(errs...)
	}
}

// show asks for one object and prints it, for people by print.
func (s *adminSession) show(method, path string, body any, print func(*adminSession, json.RawMessage) error) error {
	var v json.RawMessage
	if err := s.Call(s.cmd.Context(), method, path, body, &v); err != nil {
		return err
	}
	if s.json {
		_, err := fmt.Fprintf(s.cmd.OutOrStdout(), "%s\n", v)
		return err
	}
	return print(s, v)
}

// act asks for something to be done, and tells people that it is.
func (s *adminSession) act(method, path string, body any, done string) error {
	return s.show(method, path, body, func(s *adminSession, _ json.RawMessage) error {
		_, err := fmt.Fprintln(s.cmd.OutOrStdout(), done)
		return err
	})
}

func adminStatus(s *adminSession, _ []string) error {
	return s.show(http.MethodGet, "/admin/v1/status", nil, printStatus)
}

var slotOrders = []string{"bytes", "events", "posts", "streams", "pulled"}

func newAdminSlots() *cobra.Command {
	var by string
	var limit int
	var blocked bool
	cmd := adminCommand("slots", "List slots, the largest first", cobra.NoArgs, func(s *adminSession, _ []string) error {
		if !slices.Contains(slotOrders, by) {
			return command.Usage(fmt.Errorf("--by %s: it is one of %s", by, strings.Join(slotOrders, ", ")))
		}
		if limit < 1 || limit > 1000 {
			return command.Usage(errors.New("--limit is 1 to 1000"))
		}
		list, err := listSlots(s.cmd.Context(), s.Client, by, limit, blocked, false)
		if err != nil {
			return err
		}
		return printSlots(s, list)
	})
	cmd.Long = `slots lists slots, the largest first: by bytes or events held, streams open (long
polls included), posts a second, or the time of the last pull. Posts a second
are measured over a second when nobody asked just before.`
	f := cmd.Flags()
	f.StringVar(&by, "by", "bytes", "order: "+strings.Join(slotOrders, ", "))
	f.IntVar(&limit, "limit", 20, "how many to list, at most 1000")
	f.BoolVar(&blocked, "blocked", false, "list blocked slots only")
	cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(slotOrders, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newAdminBlock() *cobra.Command {
	var reason string
	cmd := adminCommand("block ID...", "Have slots refuse posts, pulls and streams", slotIDs, eachSlot(func(s *adminSession, id string) error {
		return s.act(http.MethodPost, "/admin/v1/slots/"+id+"/block", map[string]string{"reason": reason}, "blocked "+id)
	}))
	cmd.Long = `block has slots answer 403 to posts, pulls and streams, over restarts too, until
unblock. Their open streams end, their events stay. Their owners can still read
their state and delete them.`
	cmd.Flags().StringVar(&reason, "reason", "", "why; admin slot tells it, clients don't hear it")
	return cmd
}

func newAdminRemove() *cobra.Command {
	var yes bool
	cmd := adminCommand("rm ID...", "Delete slots with their events", slotIDs, func(s *adminSession, ids []string) error {
		what := "slot " + ids[0]
		if len(ids) > 1 {
			what = strconv.Itoa(len(ids)) + " slots"
		}
		if err := confirm(s.cmd, yes, "Delete "+what+" with all events, for ever?"); err != nil {
			return err
		}
		return eachSlot(func(s *adminSession, id string) error {
			if err := s.Call(s.cmd.Context(), http.MethodDelete, "/admin/v1/slots/"+id, nil, nil); err != nil {
				return err
			}
			return s.tell(map[string]string{"deleted": id}, "deleted "+id)
		})(s, ids)
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}

// tell prints an object, or a line for people.
func (s *adminSession) tell(v any, line string) error {
	if s.json {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		line = string(data)
	}
	_, err := fmt.Fprintln(s.cmd.OutOrStdout(), line)
	return err
}

func newAdminLogLevel() *cobra.Command {
	levels := []string{"debug", "info", "warn", "error"}
	cmd := adminCommand("log-level [LEVEL]", "Tell or set the relay's log level", cobra.MaximumNArgs(1), func(s *adminSession, args []string) error {
		print := func(s *adminSession, v json.RawMessage) error {
			var l struct{ Level string }
			if err := json.Unmarshal(v, &l); err != nil {
				return err
			}
			return s.tell(nil, l.Level)
		}
		if len(args) == 0 {
			return s.show(http.MethodGet, "/admin/v1/log-level", nil, print)
		}
		if !slices.Contains(levels, args[0]) {
			return command.Usage(fmt.Errorf("%q is no level: it is one of %s", args[0], strings.Join(levels, ", ")))
		}
		return s.show(http.MethodPut, "/admin/v1/log-level", map[string]string{"level": args[0]}, print)
	})
	cmd.Long = `log-level sets the level until the relay ends or reads its configuration again.`
	cmd.ValidArgs = levels
	return cmd
}

func newAdminDrain() *cobra.Command {
	var yes bool
	cmd := adminCommand("drain", "End the relay as SIGTERM does", cobra.NoArgs, func(s *adminSession, _ []string) error {
		if err := confirm(s.cmd, yes, "Drain and end the relay at "+s.URL+"?"); err != nil {
			return err
		}
		return s.act(http.MethodPost, "/admin/v1/drain", map[string]string{}, "the relay drains and ends; starting it again is its supervisor's work")
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}

// confirm asks a person. Where there is none it wants --yes.
func confirm(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	if in, ok := cmd.InOrStdin().(io.Writer); !ok || !term.IsTerminal(in) { // a file can be written to
		return command.Usage(errors.New("nobody can be asked here: give --yes"))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // ends with the process if nobody answers
		line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
	case <-cmd.Context().Done():
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	return errors.New("nothing done")
}
