package offline

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/go-json-experiment/json"
	"github.com/schollz/progressbar/v3"
)

// importKind is a kind of thing that is imported.
type importKind int

const (
	kindSlot importKind = iota
	kindEvent
	kindHandle
	kindInvite
	kindHealth
	kindTotal
	kindRow
	kinds
)

var kindNames = [kinds]string{"slots", "events", "handles", "invites", "health records", "totals", "rows of history"}

// importReport counts what became of everything, and says why something was not
// taken: on stderr, and in a file for the operator. It names no token and no URL of
// an invite, since both let in whoever has them.
type importReport struct {
	taken, there [kinds]int
	reasons      []*importReason // in the order they came
	notes        map[string]int  // of things that were taken all the same

	stderr io.Writer
	bar    *progressbar.ProgressBar
	path   string // of the file
	dry    bool
	file   *os.File // nil: nothing was left out yet
	w      *bufio.Writer
	lines  int
}

type importReason struct {
	kind  importKind
	why   string
	count int
}

func (r *importReport) begin(stderr io.Writer, bar *progressbar.ProgressBar, path string, dry bool) {
	r.stderr, r.bar, r.path, r.dry, r.notes = stderr, bar, path, dry, make(map[string]int)
}

// place says where in the source something stands. A line of 0 means the file.
type place struct {
	file string
	line int
}

func (p place) String() string {
	if p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s line %d", p.file, p.line)
}

// say writes a line to stderr. n is how often the like of it was said.
func (r *importReport) say(n int, text string) {
	if n > reportMost {
		return
	}
	r.bar.Clear()
	fmt.Fprintln(r.stderr, term.Shown(text))
	if n == reportMost {
		fmt.Fprintln(r.stderr, "more of the same is not told")
	}
}

// note reports something odd about what is taken all the same.
func (r *importReport) note(at place, what string) {
	r.notes[what]++
	r.say(r.notes[what], at.String()+": "+what)
}

// skip reports what is not taken. why is one of few texts, detail may say more.
func (r *importReport) skip(kind importKind, at place, why, detail string) {
	var of *importReason
	for _, x := range r.reasons {
		if x.kind == kind && x.why == why {
			of = x
		}
	}
	if of == nil {
		of = &importReason{kind: kind, why: why}
		r.reasons = append(r.reasons, of)
	}
	of.count++
	text := at.String() + ": " + why
	if detail != "" {
		text += ": " + detail
	}
	r.say(of.count, text)
}

// leftOutLine is a line of the file of what was left out.
type leftOutLine struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitzero"`
	Offset int64  `json:"offset,omitzero"`
	Bytes  int64  `json:"bytes,omitzero"`
	Reason string `json:"reason"`
	Text   string `json:"text,omitzero"`   // what stands there, if it is text
	Base64 string `json:"base64,omitzero"` // else
}

// leave reports what is not taken, and keeps its text for the operator.
func (r *importReport) leave(kind importKind, file string, l *importLine, why, detail string) error {
	at := place{file: file}
	out := leftOutLine{File: file, Reason: strings.TrimSuffix(why+": "+detail, ": ")}
	if l != nil {
		at.line = l.number
		out.Line, out.Offset, out.Bytes = l.number, l.offset, l.size
		switch {
		case l.long: // it can be found in the source
		case utf8.Valid(l.text):
			out.Text = string(l.text)
		default:
			out.Base64 = base64.StdEncoding.EncodeToString(l.text)
		}
	}
	r.skip(kind, at, why, detail)
	if r.dry {
		return nil
	}
	if r.file == nil {
		f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("--left-out: %w", err)
		}
		r.file, r.w = f, bufio.NewWriter(f)
	}
	r.lines++
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	_, err = r.w.Write(append(text, '\n'))
	return err
}

// end makes the file durable.
func (r *importReport) end() error {
	if r.file == nil {
		return nil
	}
	return errors.Join(r.w.Flush(), r.file.Sync(), r.file.Close())
}

// print writes the counts.
func (r *importReport) print(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\ttaken\tthere already\tnot taken")
	for k := range kinds {
		not := 0
		for _, x := range r.reasons {
			if x.kind == k {
				not += x.count
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", kindNames[k], r.taken[k], r.there[k], not)
	}
	w.Flush()
	for _, x := range r.reasons {
		fmt.Fprintf(to, "not taken: %d %s: %s\n", x.count, kindNames[x.kind], x.why)
	}
	for _, what := range slices.Sorted(maps.Keys(r.notes)) {
		fmt.Fprintf(to, "noted: %d times: %s\n", r.notes[what], what)
	}
	if r.lines > 0 {
		fmt.Fprintf(to, "%s has what was left out, in %d lines\n", term.Shown(r.path), r.lines)
	}
}
