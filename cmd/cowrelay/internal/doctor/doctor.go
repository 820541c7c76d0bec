// Package doctor looks at everything that a relay needs and says what is wrong: at
// this machine's side of the configuration, and at a relay that runs. It only looks:
// it changes nothing, and needs no token.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/spf13/cobra"
)

// NewCommand returns the command doctor.
func NewCommand() *cobra.Command {
	l := config.NewLayers()
	var e examination
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at machine, configuration and running relay, and say what to do",
		Long: `doctor looks at everything that a relay needs, and says in a line each what is ok,
what to look at (warning) and what does not work (trouble), with what to do about it.

It reads the configuration in the variables and the file that serve reads. Of this
machine it looks at the configuration, who can reach its files, the limit of open
files, memory, data folder, file system, free disk space and the addresses. Run it as
the user that runs the relay: limits and rights are those of the user who asks.

Of a relay that runs it looks at health, readiness, clock, the limits that are near,
disk and store. It needs no token for that. If none runs, it says so.

With --url it looks at that relay alone, from outside: also at its certificate. With
--admin it reads that relay's figures, too.

The exit status is 1 if there is trouble. Warnings leave it 0.`,
		Example: `  cowrelay doctor
  cowrelay doctor --config /etc/cowrelay.toml --json
  cowrelay doctor --url https://relay.example.com`,
		Args:    command.NoArgs,
		GroupID: command.GroupOperate,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.limit <= 0 {
				return command.WrongValue(cmd, "timeout", "a time such as 5s")
			}
			for _, u := range []*string{&e.url, &e.admin} {
				if err := checkURL(u); err != nil {
					return command.Usage(err)
				}
			}
			ctx, stop := command.UntilInterrupted(cmd)
			defer stop()
			e.examine(ctx, l)
			if ctx.Err() != nil {
				return command.Interrupted(ctx, ctx.Err())
			}
			return e.report(cmd.OutOrStdout(), asJSON)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	l.BindFile(fs, "configuration file that serve reads")
	fs.StringVar(&e.url, "url", "", "look at this relay alone, such as https://relay.example.com")
	fs.StringVar(&e.admin, "admin", "", "URL of the relay's admin listener; default: that of the configuration, and with --url none")
	fs.DurationVar(&e.limit, "timeout", 5*time.Second, "longest time to wait for each answer")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	command.NoFiles(cmd, "url", "admin", "timeout")
	return cmd
}

// status is how something is.
type status string

const (
	ok      status = "ok"
	warning status = "warning" // it works, and may not for long, or not as it could
	trouble status = "trouble" // it does not work
)

// finding is what was found about one thing.
type finding struct {
	Check  string `json:"check"`
	Status status `json:"status"`
	Text   string `json:"text"`
	Do     string `json:"do,omitempty"` // about it
}

// examination is one run of doctor. It belongs to one goroutine.
type examination struct {
	url, admin string // the flags
	limit      time.Duration

	found []finding
}

// add adds what was found. do is empty for what is ok.
func (e *examination) add(check string, s status, do, format string, args ...any) {
	e.found = append(e.found, finding{check, s, fmt.Sprintf(format, args...), do})
}

// examine looks at everything.
func (e *examination) examine(ctx context.Context, l *config.Layers) {
	if e.url != "" {
		e.relay(ctx, e.url, true)
		e.figures(ctx, e.admin)
		return
	}
	c := e.configuration(l)
	if c == nil {
		return
	}
	e.files(c)
	e.memory(c)
	e.folder(c)
	e.certificateFiles(c)
	e.running(ctx, c)
}

// report prints what was found. Its error says how much trouble there is.
func (e *examination) report(out io.Writer, asJSON bool) error {
	counts := make(map[status]int)
	for _, f := range e.found {
		counts[f.Status]++
	}
	if asJSON {
		if err := json.NewEncoder(out).Encode(struct {
			Trouble  int       `json:"trouble"`
			Warnings int       `json:"warnings"`
			Checks   []finding `json:"checks"`
		}{counts[trouble], counts[warning], e.found}); err != nil {
			return err
		}
	} else if err := e.print(out); err != nil {
		return err
	}
	if n := counts[trouble]; n > 0 {
		return fmt.Errorf("%d of %d checks found trouble", n, len(e.found))
	}
	return nil
}

// print prints a line for each finding, and one below it for what to do.
func (e *examination) print(out io.Writer) error {
	wide := 0
	for _, f := range e.found {
		wide = max(wide, len(f.Check))
	}
	var b strings.Builder
	for _, f := range e.found {
		text := strings.ReplaceAll(term.Shown(f.Text), "\n", "\n"+strings.Repeat(" ", wide+11))
		fmt.Fprintf(&b, "%-7s  %-*s  %s\n", f.Status, wide, f.Check, text)
		if f.Do != "" {
			fmt.Fprintf(&b, "%*s  do: %s\n", wide+9, "", term.Shown(f.Do))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
