package operate

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
)

// printSlots prints a list of slots.
func printSlots(s *adminSession, list *slotList) error {
	rows, err := list.rows()
	if err != nil {
		return err
	}
	// A line has 80 columns at most. So rates take the place of streams, and ages have no
	// "ago".
	head, now := "STREAMS", func(r *slotRow) string { return human.Count(float64(r.Streams)) }
	if len(rows) > 0 && rows[0].Posts != nil { // then all have it
		head, now = "POSTS/S", func(r *slotRow) string { return human.Rate(*r.Posts) }
	}
	return printList(s, list.Slots, list.Matching, "SLOT\tEVENTS\tBYTES\t"+head+"\tPULLED\tSTATE", func(r *slotRow) string {
		return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", r.ID, human.Count(float64(r.Events)), human.Bytes(float64(r.Bytes)), now(r), strings.TrimSuffix(r.pulled(time.Now()), " ago"), r.state())
	})
}

// printSlot prints all about one slot, for people.
func printSlot(s *adminSession, v json.RawMessage) error {
	var r slotRow
	if err := json.Unmarshal(v, &r); err != nil {
		return err
	}
	t := newTable(s.cmd.OutOrStdout())
	fmt.Fprintf(t, "slot\t%s\nstate\t%s\nevents\t%s\nbytes\t%s\nstreams\t%s\nlast pull\t%s\n",
		r.ID, r.state(), human.Count(float64(r.Events)), human.Bytes(float64(r.Bytes)), human.Count(float64(r.Streams)), r.pulled(time.Now()))
	if r.First > 0 || r.Lifetime != nil { // positions count from 0: so many have left
		fmt.Fprintf(t, "events that left\t%s\n", human.Count(float64(r.First)))
	}
	if r.Lifetime != nil {
		r.Lifetime.print(t, r.Streams, time.Now())
	}
	if r.Block != nil {
		fmt.Fprintf(t, "blocked\t%s\nreason\t%s\n", time.Unix(r.Block.At, 0).Format(time.DateTime), term.Printable(r.Block.Reason))
	}
	if len(r.Health) > 0 && string(r.Health) != "null" {
		fmt.Fprintf(t, "responder health\t%s\n", term.Printable(string(r.Health)))
	}
	return t.Flush()
}

// printStatus prints how the relay is, for people.
func printStatus(s *adminSession, v json.RawMessage) error {
	var r struct {
		Version      string  `json:"version"`
		Uptime       int64   `json:"uptime_seconds"`
		Ready        bool    `json:"ready"`
		Draining     bool    `json:"draining"`
		LogLevel     string  `json:"log_level"`
		Slots        float64 `json:"slots"`
		Hot          float64 `json:"slots_hot"`
		Blocked      float64 `json:"slots_blocked"`
		Events       float64 `json:"events"`
		EventBytes   float64 `json:"event_bytes"`
		Connections  float64 `json:"connections"`
		Streams      float64 `json:"streams"`
		LongPolls    float64 `json:"long_polls"`
		Handles      float64 `json:"handles"`
		Invites      float64 `json:"invites"`
		Pairs        float64 `json:"pairs"`
		QueuePosts   float64 `json:"queue_posts"`
		QueueBytes   float64 `json:"queue_bytes"`
		Memory       float64 `json:"memory_bytes"`
		MemoryBudget float64 `json:"memory_budget_bytes"`
	}
	if err := json.Unmarshal(v, &r); err != nil {
		return err
	}
	state := "starting"
	if r.Draining {
		state = "draining"
	} else if r.Ready {
		state = "ready"
	}
	t := newTable(s.cmd.OutOrStdout())
	fmt.Fprintf(t, "relay\t%s, %s, up %s\n", term.Printable(r.Version), state, human.Age(time.Duration(r.Uptime)*time.Second))
	fmt.Fprintf(t, "slots\t%s, of them %s hot and %s blocked\n", human.Count(r.Slots), human.Count(r.Hot), human.Count(r.Blocked))
	fmt.Fprintf(t, "events\t%s, %s\n", human.Count(r.Events), human.Bytes(r.EventBytes))
	fmt.Fprintf(t, "connections\t%s\nstreams\t%s\nlong polls\t%s\n", human.Count(r.Connections), human.Count(r.Streams), human.Count(r.LongPolls))
	fmt.Fprintf(t, "handles\t%s\ninvites\t%s\npairs\t%s\n", human.Count(r.Handles), human.Count(r.Invites), human.Count(r.Pairs))
	fmt.Fprintf(t, "queue\t%s posts, %s\n", human.Count(r.QueuePosts), human.Bytes(r.QueueBytes))
	fmt.Fprintf(t, "memory\t%s of %s\nlog level\t%s\n", human.Bytes(r.Memory), human.Bytes(r.MemoryBudget), term.Printable(r.LogLevel))
	return t.Flush()
}

// newTable returns a writer that aligns cells which end with a tab.
func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }
