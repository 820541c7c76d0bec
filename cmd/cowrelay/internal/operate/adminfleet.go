package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/spf13/cobra"
)

// memberRow is one relay of a fleet as the admin API describes it.
type memberRow struct {
	Name    string  `json:"name"`
	Self    bool    `json:"self"`
	Live    bool    `json:"live"`
	Purges  bool    `json:"purges"`
	Version string  `json:"version"`
	Started int64   `json:"started_unix"`
	Seen    float64 `json:"seen_seconds"`
	Applied uint64  `json:"applied"`
	Durable uint64  `json:"durable"`
	Lag     uint64  `json:"lag"`
	Entries float64 `json:"entries_per_second"`
	Reads   int     `json:"reads"`
	Admin   string  `json:"admin"`
}

func (m *memberRow) state() string {
	if m.Live {
		return "live"
	}
	return "silent"
}

// fleetList is the reply to a question for the fleet.
type fleetList struct {
	Head    uint64            `json:"head"`
	Format  int               `json:"format"`
	Members []json.RawMessage `json:"members"`
}

func (l *fleetList) rows() ([]memberRow, error) {
	rows := make([]memberRow, len(l.Members))
	for i, m := range l.Members {
		if err := json.Unmarshal(m, &rows[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func listFleet(ctx context.Context, c *adminclient.Client) (*fleetList, error) {
	list := new(fleetList)
	return list, c.Call(ctx, http.MethodGet, "/admin/v1/fleet", nil, list)
}

func newAdminFleet() *cobra.Command {
	cmd := adminCommand("fleet", "List the relays that share this one's log", command.NoArgs, func(s *adminSession, _ []string) error {
		list, err := listFleet(s.cmd.Context(), s.Client)
		if err != nil {
			return err
		}
		return printFleet(s, list)
	})
	cmd.Long = `fleet lists all relays that write to the shared log: how far each had applied the
log when it was heard of last, how many entries it was behind (LAG), how many it had
applied and not yet saved on its own disk (UNSAVED), and how many it sends a second. The
relay that was asked has a star. Each relay tells the others every ten seconds. One that
was not heard of for half a minute is silent: it has ended, or can't reach the log.

The second table says how long each is up, and its version. FORMAT is the newest format
of entries that a relay reads, and behind the slash the newest that they may write.`
	forget := adminCommand("forget NAME", "Drop a relay that does not come back from the list", oneRelay, func(s *adminSession, args []string) error {
		return s.act(http.MethodDelete, "/admin/v1/fleet/"+url.PathEscape(args[0]), nil, "forgot "+args[0])
	})
	forget.Long = `forget drops a relay that has ended for good from the list. A relay that comes back
stands there again.`
	upgrade := adminCommand("upgrade", "Let the relays write what only their newest version can read", command.NoArgs, func(s *adminSession, _ []string) error {
		return s.act(http.MethodPost, "/admin/v1/fleet/upgrade", nil, "the relays may write the newest format that they read")
	})
	upgrade.Long = `upgrade lets the relays of a fleet write entries of the newest format that the one
that is asked knows. A new version of cowrelay goes on writing the old format until
then, so that relays can be replaced one after the other, and also put back.

It refuses while the fleet has a relay that can't read the new format, and names it.
Afterwards an older cowrelay can't take part any more: it ends and says so.`
	cmd.AddCommand(upgrade)
	cmd.AddCommand(offering(offered{path: "/admin/v1/fleet", first: true, names: func(v json.RawMessage) (string, string) {
		var m memberRow
		json.Unmarshal(v, &m)
		return m.Name, m.state()
	}}, forget))
	return cmd
}

// oneRelay accepts the name of one relay.
func oneRelay(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("which relay? Give its name")
	}
	return nil
}

// printFleet prints the relays of a fleet. People get two tables, as a line has 80
// columns at most: where each relay is in the log, and what it is. The second has whole
// names.
func printFleet(s *adminSession, list *fleetList) error {
	err := printList(s, list.Members, len(list.Members), "RELAY\tSTATE\tAPPLIED\tLAG\tUNSAVED\tENTRIES/S\tSEEN", func(m *memberRow) string {
		return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s", m.shown(mostName), m.state(), human.Count(float64(m.Applied)), human.Count(float64(m.Lag)),
			human.Count(float64(m.Applied-min(m.Durable, m.Applied))), human.Rate(m.Entries), human.Age(seconds(m.Seen)))
	})
	if err != nil || s.json {
		return err
	}
	fmt.Fprintln(s.cmd.OutOrStdout())
	return printList(s, list.Members, len(list.Members), "RELAY\tUP\tFORMAT\tVERSION\tADMIN", func(m *memberRow) string {
		return fmt.Sprintf("%s\t%s\t%d/%d\t%s\t%s", m.shown(math.MaxInt32), human.Age(time.Since(time.Unix(m.Started, 0))), m.Reads, list.Format, term.Printable(m.Version), term.Printable(m.Admin))
	})
}

// mostName is how much of a relay's name fits beside its numbers.
const mostName = 14

// shown is the name in a table, of so many characters, with a star for the relay that
// was asked.
func (m *memberRow) shown(most int) string {
	name := beginning(term.Printable(m.Name), most)
	if m.Self {
		name += "*"
	}
	return name
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// fleetLines is the table of the relays that share a log, in at most so many rows.
// There is none if the relay has a log of its own.
func (v *topView) fleetLines(room int) []line {
	r := v.last.to
	if len(r.fleet) == 0 {
		return nil
	}
	const columns = "%-20s%-8s%14s%9s%11s%8s"
	lines := []line{{{bold, fmt.Sprintf(columns, "RELAY", "STATE", "APPLIED", "LAG", "ENTRIES/S", "SEEN")}}}
	for _, m := range r.fleet {
		if len(lines) >= room {
			break
		}
		look := plain
		if !m.Live {
			look = alarm
		}
		lines = append(lines, line{{look, fmt.Sprintf(columns, m.shown(18), m.state(), human.Count(float64(m.Applied)), human.Count(float64(m.Lag)), human.Rate(m.Entries), human.Age(seconds(m.Seen)))}})
	}
	return append(lines, nil)
}
