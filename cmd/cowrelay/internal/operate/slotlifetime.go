package operate

import (
	"fmt"
	"io"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
)

// slotLifetime is how long a slot and its events are kept, as the admin API describes it.
type slotLifetime struct {
	Slot      *lifetimeBound `json:"ttl"`
	Unused    *lifetimeBound `json:"unused_ttl"`
	Event     *lifetimeBound `json:"event_ttl"`
	Ephemeral *lifetimeBound `json:"ephemeral_ttl"`
	Keep      *struct {
		Events uint64 `json:"events"`
		Bytes  uint64 `json:"bytes"`
	} `json:"event_keep"`
	EndsAt *int64 `json:"ends_unix"`
	EndsAs string `json:"ends_as"`
}

// lifetimeBound is a time and who has set it. nil: there is none.
type lifetimeBound struct {
	Seconds int64  `json:"seconds"`
	By      string `json:"by"`
}

func (b *lifetimeBound) String() string {
	if b == nil {
		return "off"
	}
	whose := "the operator's"
	if b.By == "slot" {
		whose = "the slot's own"
	}
	return human.Age(time.Duration(b.Seconds)*time.Second) + ", " + whose
}

// print prints it as rows of a table. streams are open.
func (l *slotLifetime) print(w io.Writer, streams int, now time.Time) {
	fmt.Fprintf(w, "idle TTL\t%v\n", l.Slot)
	if l.Unused != nil { // only of a slot that nobody has used
		fmt.Fprintf(w, "unused TTL\t%v\n", l.Unused)
	}
	fmt.Fprintf(w, "event TTL\t%v\nephemeral TTL\t%v\n", l.Event, l.Ephemeral)
	kept := "off"
	if l.Keep != nil {
		var parts []string
		if l.Keep.Events > 0 {
			parts = append(parts, human.Count(float64(l.Keep.Events))+" events")
		}
		if l.Keep.Bytes > 0 {
			parts = append(parts, human.Bytes(float64(l.Keep.Bytes)))
		}
		kept = strings.Join(parts, " or ") + ", the operator's"
	}
	ends := "never"
	switch {
	case l.EndsAt != nil:
		at, in := time.Unix(*l.EndsAt, 0), "due"
		if at.After(now) {
			in = "in " + human.Age(at.Sub(now))
		}
		ends = at.Format(time.DateTime) + ", " + in + ", as " + term.Printable(l.EndsAs)
	case streams > 0 && l.Slot != nil:
		ends = "not while it is streamed"
	}
	fmt.Fprintf(w, "event keep\t%s\nends\t%s\n", kept, ends)
}
