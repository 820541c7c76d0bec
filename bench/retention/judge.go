package retention

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"cowrelay/bench/record"
)

// enough is how many times the bytes of what is left the disk may take in the end.
const enough = 1.5

// isBack says whether the disk takes little more than what is left.
func (s *Setup) isBack(at *Sample) bool {
	return float64(at.Disk) <= enough*float64(at.Left)+float64(s.Spare)
}

// last is the last sample of a phase; nil: there is none.
func (r *Record) last(phase string) *Sample {
	for i := len(r.Samples) - 1; i >= 0; i-- {
		if r.Samples[i].Phase == phase {
			return &r.Samples[i]
		}
	}
	return nil
}

// Judge says what the record comes to. A run that was cut off is judged by what there
// is of it, and does not pass.
func (r *Record) Judge() *record.Verdict {
	v := record.NewVerdict()
	if res := r.Result; res == nil {
		v.Bar("the load", false, "the run was cut off")
	} else {
		text := ""
		if res.Errors > 0 {
			text = ", the first: " + res.FirstError
		}
		v.Bar("the load", res.Errors == 0, "%d answers wrong or missing%s; what stays was read back: %d events", res.Errors, text, res.Kept)
	}
	if len(r.Samples) == 0 {
		v.Bar("samples", false, "there are none")
		return v
	}
	end := &r.Samples[len(r.Samples)-1]
	v.Bar("all left that should", end.Gone == r.Setup.Expiring, "%d events of %d", end.Gone, r.Setup.Expiring)
	if r.Result != nil {
		kept := r.Setup.Events - r.Setup.Expiring
		want := kept*r.Setup.Size + r.Result.Beside*besideBytes
		v.Bar("what is left agrees with what was posted", end.Events == kept+r.Result.Beside && end.Left == want,
			"%d events with %s, posted were %d with %s", end.Events, mb(end.Left), kept+r.Result.Beside, mb(want))
	}
	expired := r.last(Expiry)
	if expired == nil {
		expired = r.last(Fill)
	}
	switch back := r.backAt(); {
	case expired == nil || end.Gone != r.Setup.Expiring:
		v.Bar("the space came back", false, "not all events had left")
	case back == nil:
		v.Bar("the space came back", false, "not within %v of the last event's leaving: the disk takes %s for %s that are left", r.Setup.Wait, mb(end.Disk), mb(end.Left))
	default:
		v.Bar("the space came back", true, "%.0f s after the last event had left: %s of disk for %s that are left (%.2f)", back.At-expired.At, mb(back.Disk), mb(back.Left), ratio(back.Disk, back.Left))
	}
	return v
}

// backAt is the first sample behind the expiry at which the space was back; nil: there
// is none.
func (r *Record) backAt() *Sample {
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.Gone == r.Setup.Expiring && r.Setup.isBack(s) {
			return s
		}
	}
	return nil
}

// Summary is what was run, and the phases as a table, for people.
func (r *Record) Summary() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Setup.Variant)
	if r.Result != nil {
		fmt.Fprintf(&b, "filled with %.0f events a second\n", r.Result.FillPerSec)
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\ttime\tevents at its end\tbytes of them\tdisk\tmost disk\tposts p50\tp99\tlongest\t")
	for _, p := range r.Phases {
		most := int64(0)
		for i := range r.Samples {
			if r.Samples[i].Phase == p.Name {
				most = max(most, r.Samples[i].Disk)
			}
		}
		s := r.last(p.Name)
		if s == nil {
			s = &Sample{}
		}
		fmt.Fprintf(t, "%s\t%.0f s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", p.Name, p.Seconds, s.Events, mb(s.Left), mb(s.Disk), mb(most),
			ms(p.Posts.P50), ms(p.Posts.P99), ms(p.Posts.Max))
	}
	t.Flush() // into memory
	return b.String()
}

func ratio(a, b int64) float64 { return float64(a) / float64(max(b, 1)) }
func mb(n int64) string        { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// ms is microseconds for people.
func ms(us int64) string {
	return fmt.Sprintf("%.2f ms", float64(us)*float64(time.Microsecond)/float64(time.Millisecond))
}
