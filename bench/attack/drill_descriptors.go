package attack

import "fmt"

// descriptorsDrill: more idle connections, to both listeners, than the relay
// may open files.
var descriptorsDrill = drill{
	name: "descriptors", what: "more idle connections than the relay may open files",
	variants: func(c *Config) []variant {
		one := func(files int, by crowd, flags ...string) variant {
			idle := files * 13 / 10
			return variant{
				name:  fmt.Sprintf("%d idle connections and 60 to the admin listener under ulimit -n %d, %s", idle, files, by.name),
				relay: relayArgs{files: files, flags: flags},
				light: files < 256,
				attack: join(
					idleConnections(idle, by, false),
					idleConnections(60, by, true)),
			}
		}
		out := []variant{one(64, atOne)}
		if !c.Short {
			// As the log advises for 1,024 files.
			out = append(out, one(1024, atOne, "--max-connections=1000"))
		}
		return append(out, one(1024, atHonest, "--max-connections=1000"))
	},
}
