package drill

import (
	"fmt"
	"slices"
	"strings"
)

// Names returns the names of the drills in their order.
func Names() []string {
	var names []string
	for _, d := range All {
		names = append(names, d.Name)
	}
	return names
}

// What says in a few words what a drill does.
func What(name string) string {
	for _, d := range All {
		if d.Name == name {
			return d.what
		}
	}
	return ""
}

// CheckNames returns an error if one of the names is not a drill.
func CheckNames(names []string) error {
	all := Names()
	for _, n := range names {
		if !slices.Contains(all, n) {
			return fmt.Errorf("unknown drill %q: want %s, or none for all", n, strings.Join(all, ", "))
		}
	}
	return nil
}

// All are the drills in the order in which they run.
var All = []Drill{
	descriptorsDrill, logpipeDrill, bodiesDrill, headsDrill, pagesDrill, connectionsDrill, handshakesDrill,
	longpollsDrill, streamsDrill, drainDrill, adminDrill, diskDrill, meetDrill, batchesDrill, tokensDrill,
}
