package drill

import (
	"fmt"
	"slices"
	"strings"
)

// Names are the drills in their order.
func Names() []string {
	var names []string
	for _, d := range All {
		names = append(names, d.Name)
	}
	return names
}

// What says in a line what a drill does.
func What(name string) string {
	for _, d := range All {
		if d.Name == name {
			return d.what
		}
	}
	return ""
}

// CheckNames says which of the names is no drill.
func CheckNames(names []string) error {
	all := Names()
	for _, n := range names {
		if !slices.Contains(all, n) {
			return fmt.Errorf("unknown drill %q: want %s, or none for all", n, strings.Join(all, ", "))
		}
	}
	return nil
}

// All are all of them, in the order in which they run.
var All = []Drill{
	descriptorsDrill, logpipeDrill, bodiesDrill, headsDrill, pagesDrill, connectionsDrill,
	longpollsDrill, streamsDrill, drainDrill, adminDrill, diskDrill,
}
