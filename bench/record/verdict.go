package record

import (
	"fmt"
	"strings"
)

// A Bar is one thing that must hold.
type Bar struct {
	Name string `json:"name"`
	Text string `json:"text"`
	OK   bool   `json:"ok"`
}

// Word is "holds" or "FAILS".
func (b *Bar) Word() string {
	if b.OK {
		return "holds"
	}
	return "FAILS"
}

// A Verdict says whether a run went well. Make it with NewVerdict.
type Verdict struct {
	OK   bool  `json:"ok"`
	Bars []Bar `json:"bars"`
}

// NewVerdict is a good verdict, to which bars are added.
func NewVerdict() *Verdict { return &Verdict{OK: true} }

// Bar adds a bar.
func (v *Verdict) Bar(name string, ok bool, format string, args ...any) {
	v.Bars = append(v.Bars, Bar{Name: name, OK: ok, Text: fmt.Sprintf(format, args...)})
	v.OK = v.OK && ok
}

// Failed is the names of the bars that do not hold, in their order.
func (v *Verdict) Failed() []string {
	var names []string
	for _, b := range v.Bars {
		if !b.OK {
			names = append(names, b.Name)
		}
	}
	return names
}

// String is a line for each bar.
func (v *Verdict) String() string {
	var b strings.Builder
	for _, bar := range v.Bars {
		fmt.Fprintf(&b, "%s  %s: %s\n", bar.Word(), bar.Name, bar.Text)
	}
	return b.String()
}
