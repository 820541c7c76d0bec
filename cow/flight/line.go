package flight

import "slices"

// ticket is a load that waits for its turn, or has it.
type ticket struct {
	turn    chan struct{} // closed when it has its turn
	over    bool          // it has its turn, or gave up: the lines pass over it
	clients []uint64      // in whose lines it stands
}

// A load stands in the lines of so many of the clients that wait for it. More would
// bring it hardly any sooner.
const mostLines = 16

// lines are where loads wait for a turn: one line for each client, and the clients
// take turns. So a client that wants much waits for itself, and all others wait for
// one load of it at most. A load that several clients want comes when the first of
// them is served.
//
// (Round robin among flows: J. Nagle, "On Packet Switches with Infinite Storage", RFC 970.)
type lines struct {
	of    map[uint64][]*ticket // never empty ones
	order []uint64             // the clients with lines, who is served next first
}

// add puts a ticket at the end of a client's line.
func (l *lines) add(t *ticket, client uint64) {
	if len(t.clients) == mostLines || slices.Contains(t.clients, client) {
		return
	}
	t.clients = append(t.clients, client)
	line := l.of[client]
	if line == nil {
		l.order = append(l.order, client)
	}
	l.of[client] = append(line, t)
}

// next takes out whose turn it is, or returns nil when nobody waits.
func (l *lines) next() *ticket {
	for len(l.order) > 0 {
		client := l.order[0]
		l.order = l.order[1:]
		line := l.of[client]
		for len(line) > 0 && line[0].over {
			line = line[1:]
		}
		if len(line) == 0 {
			delete(l.of, client)
			continue
		}
		t := line[0]
		if line = line[1:]; len(line) > 0 {
			l.of[client] = line
			l.order = append(l.order, client)
		} else {
			delete(l.of, client)
		}
		return t
	}
	return nil
}
