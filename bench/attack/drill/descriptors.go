package drill

import (
	"fmt"

	"cowrelay/bench/attack/relay"
)

// descriptorsDrill opens more idle connections, to both listeners, than the
// relay may open files.
var descriptorsDrill = Drill{
	Name: "descriptors", what: "more idle connections than the relay may open files",
	Variants: func(c Scale) []Variant {
		one := func(files int, by crowd, flags ...string) Variant {
			idle := files * 13 / 10
			return Variant{
				Name:  fmt.Sprintf("%d idle connections and 60 to the admin listener under ulimit -n %d, %s", idle, files, by.name),
				Relay: relay.Args{Files: files, Flags: flags},
				Light: files < 256,
				Attack: join(
					idleConnections(idle, by, false),
					idleConnections(60, by, true)),
			}
		}
		out := []Variant{one(64, atOne)}
		if !c.Short {
			// As the log advises for 1,024 files.
			out = append(out, one(1024, atOne, "--max-connections=1000"))
		}
		return append(out, one(1024, atHonest, "--max-connections=1000"))
	},
}
