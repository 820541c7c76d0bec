package attack

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/attack/honest"
	"cowrelay/bench/attack/relay"
	"cowrelay/bench/report"
)

// A Bar is something that must hold.
type Bar struct {
	Name string `json:"name"`
	Pass bool   `json:"pass"`
	Text string `json:"text,omitempty"` // what was seen
}

// A Result is what one variant of a drill came to.
type Result struct {
	Drill   string `json:"drill"`
	Variant string `json:"variant"`
	Limits  string `json:"limits"` // what the relay was given
	Short   bool   `json:"short,omitempty"`

	Before *honest.Figures `json:"before,omitempty"`
	During *honest.Figures `json:"during,omitempty"`
	After  *honest.Figures `json:"after,omitempty"`
	// Ratio is the p99 during the attack to the p99 before it. If posts may be
	// refused, it leaves out what waits for posts.
	Ratio float64 `json:"ratio,omitempty"`

	Peak relay.Peak `json:"peak"`
	// AtRest is what the relay held before any client came, and CameBack when
	// all had left.
	AtRest   relay.Held   `json:"at_rest"`
	CameBack *relay.Held  `json:"came_back,omitempty"`
	Books    *books.Books `json:"books,omitempty"`

	// Skipped says why the drill did not run. Then the rest means nothing.
	Skipped string `json:"skipped,omitempty"`

	Kills        int `json:"kills,omitempty"`
	Acknowledged int `json:"acknowledged"` // how many honest posts; all are looked for in the end

	Bars    []Bar          `json:"bars"`
	Notes   []string       `json:"notes,omitempty"`
	Machine report.Machine `json:"machine"`
}

// bar adds a bar that holds if err is nil.
func (r *Result) bar(name string, err error, seen string) {
	b := Bar{Name: name, Pass: err == nil, Text: seen}
	if err != nil {
		b.Text = err.Error()
	}
	r.Bars = append(r.Bars, b)
}

// Passed says whether all bars hold.
func (r *Result) Passed() bool {
	for _, b := range r.Bars {
		if !b.Pass {
			return false
		}
	}
	return true
}

// WriteJSON writes r as one line.
func (r *Result) WriteJSON(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// Text is r for a reader, in some lines.
func (r *Result) Text() string {
	var b strings.Builder
	if r.Skipped != "" {
		return fmt.Sprintf("skipped: %s (%s): %s", r.Drill, r.Variant, r.Skipped)
	}
	verdict := "pass"
	if !r.Passed() {
		verdict = "FAIL"
	}
	fmt.Fprintf(&b, "%s: %s (%s; %s)\n", verdict, r.Drill, r.Variant, r.Limits)
	for _, p := range []struct {
		name string
		f    *honest.Figures
	}{{"before", r.Before}, {"during", r.During}, {"after", r.After}} {
		if p.f == nil {
			continue
		}
		fmt.Fprintf(&b, "  %-7s p50 %-9v p99 %-9v max %-9v %5d done, %d errors", p.name, micros(p.f.P50), micros(p.f.P99), micros(p.f.Max), p.f.Count, p.f.Errors)
		if p.name == "during" && r.Ratio > 0 {
			fmt.Fprintf(&b, "; p99 %.1f times the quiet one", r.Ratio)
		}
		b.WriteByte('\n')
	}
	if r.Kills == 0 {
		r.writePeak(&b)
	}
	if c := r.CameBack; c != nil {
		fmt.Fprintf(&b, "  after   %d goroutines (at rest %d), %d sockets (%d), %d descriptors (%d), resident %s (%s)\n", c.Goroutines, r.AtRest.Goroutines,
			c.Sockets, r.AtRest.Sockets, c.Files, r.AtRest.Files, books.MiB(c.Resident), books.MiB(r.AtRest.Resident))
	}
	if k := r.Books; k != nil {
		fmt.Fprintf(&b, "  books   live heap %s, counted %s: difference %s, at rest %s; the store's heap %s\n", books.MiB(k.Live), books.MiB(k.Counted), books.MiB(k.Difference()), books.MiB(k.Rest), books.MiB(k.Store))
	}
	for _, x := range r.Bars {
		mark := "ok"
		if !x.Pass {
			mark = "FAIL"
		}
		fmt.Fprintf(&b, "  %-7s %s: %s\n", mark, x.Name, strings.ReplaceAll(x.Text, "\n", "\n          "))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  note    %s\n", n)
	}
	return strings.TrimRight(b.String(), "\n")
}

func (r *Result) writePeak(b *strings.Builder) {
	fmt.Fprintf(b, "  peak    process %s, kernel sockets %s, %d descriptors", books.MiB(r.Peak.Resident), books.MiB(r.Peak.Sockets), r.Peak.Files)
	if g := r.Peak.Group; g != nil {
		fmt.Fprintf(b, "; group %s with page cache", books.MiB(g.Memory))
		if g.Sockets > 0 {
			fmt.Fprintf(b, ", its sockets %s", books.MiB(g.Sockets))
		}
	}
	b.WriteByte('\n')
}

func micros(us int64) time.Duration {
	d := time.Duration(us) * time.Microsecond
	if d > 10*time.Millisecond {
		return d.Round(100 * time.Microsecond)
	}
	return d
}
