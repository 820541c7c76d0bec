package plot

import (
	"regexp"
	"slices"

	"cowrelay/bench/report"
)

// A set is the last result of each load, in the order in which the loads first
// came.
type set struct{ rs []report.Result }

func newSet(rs []report.Result) *set {
	set := new(set)
	for _, r := range rs {
		i := slices.IndexFunc(set.rs, func(o report.Result) bool { return sameLoad(&o, &r) })
		if i < 0 {
			set.rs = append(set.rs, r)
		} else {
			set.rs[i] = r
		}
	}
	return set
}

// sameLoad says whether b is another run of a's load. The rate of paced pullers
// is another one in each run.
func sameLoad(a, b *report.Result) bool {
	if a.Scenario != b.Scenario || a.Peer != b.Peer || (a.Point == nil) != (b.Point == nil) {
		return false
	}
	if a.Point != nil && *a.Point != *b.Point {
		return false
	}
	return a.Variant == b.Variant || pacedAt.MatchString(a.Variant) && pacedAt.MatchString(b.Variant)
}

// loads names all loads.
func (s *set) loads() []string {
	var out []string
	for _, r := range s.rs {
		out = append(out, r.Scenario+" ("+r.Variant+")")
	}
	return out
}

// all returns the results of a scenario that are on no curve.
func (s *set) all(scenario string) (out []*report.Result) {
	for i := range s.rs {
		if r := &s.rs[i]; r.Scenario == scenario && r.Point == nil {
			out = append(out, r)
		}
	}
	return out
}

// of is all without the results beside a peer.
func (s *set) of(scenario string) []*report.Result {
	return slices.DeleteFunc(s.all(scenario), func(r *report.Result) bool { return r.Peer != "" })
}

// curve returns the results on a curve of growth, by X.
func (s *set) curve(name, axis string) (out []*report.Result) {
	for i := range s.rs {
		if r := &s.rs[i]; r.Scenario == "growth" && r.Point != nil && r.Point.Curve == name && r.Point.Axis == axis {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *report.Result) int { return int(a.Point.X - b.Point.X) })
	return out
}

// pacedAt matches the variants of saturation and batch-beside in which a rate was
// looked for.
var pacedAt = regexp.MustCompile(`(pullers|posters of batches)( of nice \d+)? at [\d.]+/s`)
