package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A picture is what is drawn of some results, or nothing where they lack what
// it shows.
type picture struct {
	name string
	of   func(*plotSet) drawer
}

type drawer interface{ draw(*theme) []byte }

// pictures are all that Plot can draw.
var pictures = []picture{
	{"ratios", ratiosPicture},
	{"outage", outagePicture},
	{"growth", growthPicture},
	{"fanout", fanoutPicture},
	{"memory", memoryPicture},
	{"slots", slotsPicture},
	{"nchan", peerPicture("nchan", "Nchan")},
	{"nats", peerPicture("nats", "NATS JetStream")},
}

// Plot draws what the results have as DIR/NAME-light.svg and DIR/NAME-dark.svg
// and returns the files. Where a load was run more than once, its last result
// counts.
func Plot(dir string, rs []Result) ([]string, error) {
	set := newPlotSet(rs)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the plots: %w", err)
	}
	var files []string
	for _, p := range pictures {
		d := p.of(set)
		if d == nil {
			continue
		}
		for _, t := range themes {
			name := filepath.Join(dir, p.name+"-"+t.name+".svg")
			if err := os.WriteFile(name, d.draw(t), 0o644); err != nil {
				return files, err
			}
			files = append(files, name)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the results have nothing to draw: %s", strings.Join(set.loads(), "; "))
	}
	return files, nil
}

// A plotSet is the last result of each load, in the order of the first.
type plotSet struct{ rs []Result }

func newPlotSet(rs []Result) *plotSet {
	set := new(plotSet)
	for _, r := range rs {
		i := slices.IndexFunc(set.rs, func(o Result) bool { return sameLoad(&o, &r) })
		if i < 0 {
			set.rs = append(set.rs, r)
		} else {
			set.rs[i] = r
		}
	}
	return set
}

// sameLoad says whether b is another run of a's load. The rate of paced
// pullers is found anew in each run.
func sameLoad(a, b *Result) bool {
	if a.Scenario != b.Scenario || a.Peer != b.Peer || (a.Point == nil) != (b.Point == nil) {
		return false
	}
	if a.Point != nil && *a.Point != *b.Point {
		return false
	}
	return a.Variant == b.Variant || a.Scenario == "saturation" && pacedAt.MatchString(a.Variant) && pacedAt.MatchString(b.Variant)
}

func (s *plotSet) loads() []string {
	var out []string
	for _, r := range s.rs {
		out = append(out, r.Scenario+" ("+r.Variant+")")
	}
	return out
}

// all are the results of a scenario that stand on no curve.
func (s *plotSet) all(scenario string) (out []*Result) {
	for i := range s.rs {
		if r := &s.rs[i]; r.Scenario == scenario && r.Point == nil {
			out = append(out, r)
		}
	}
	return out
}

// of is all without what ran beside a peer, in the bound's place.
func (s *plotSet) of(scenario string) []*Result {
	return slices.DeleteFunc(s.all(scenario), func(r *Result) bool { return r.Peer != "" })
}

// curve are the results on a curve of growth, by X.
func (s *plotSet) curve(name, axis string) (out []*Result) {
	for i := range s.rs {
		if r := &s.rs[i]; r.Scenario == "growth" && r.Point != nil && r.Point.Curve == name && r.Point.Axis == axis {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *Result) int { return int(a.Point.X - b.Point.X) })
	return out
}

// captionOf says what ran where, from the machines of the results shown.
func captionOf(rs ...*Result) string {
	var parts []string
	add := func(s string) {
		if s != "" && !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
	}
	for _, r := range rs {
		add(r.Machine.hardware())
	}
	for _, r := range rs {
		add(r.Machine.Go)
	}
	for _, r := range rs {
		add(r.Machine.DataFS)
	}
	for _, r := range rs {
		if r.Machine.Commit != "" {
			add("commit " + r.Machine.Commit)
		}
	}
	wrong := int64(0)
	for _, r := range rs {
		wrong += r.Errors()
	}
	if wrong > 0 {
		add(fmt.Sprintf("NOT VALID: %d answers were wrong or missing", wrong))
	}
	for _, r := range rs {
		date, _, _ := strings.Cut(r.Machine.Date, "T")
		add(date)
	}
	return strings.Join(parts, " · ")
}
