package flight

import "slices"

// ticket is a load that waits for its turn, or has it.
type ticket struct {
	turn    chan struct{} // closed when it has its turn
	over    bool          // it has its turn, or gave up: the lines pass over it
	cost    int           // in quanta
	clients []uint64      // in whose lines it stands
}

// A load stands in the lines of so many of the clients that wait for it. More would
// bring it hardly any sooner.
const mostLines = 16

// A round gives each client that waits a quantum, in bytes. A load costs mostCost quanta
// at most.
const (
	quantum  = 512 << 10
	mostCost = 16
)

// costOf is what a load of so many bytes costs.
func costOf(bytes int64) int { return int(min(mostCost, 1+max(0, bytes-1)/quantum)) }

// lines are where loads wait for a turn: one line for each client, and the clients
// take turns. A long load takes the turns of several rounds. So a client that wants
// much waits for itself, and all others wait for a short load of it at most. A load
// that several clients want comes when the first of them is served.
//
// (Deficit round robin: M. Shreedhar and G. Varghese, "Efficient Fair Queuing Using
// Deficit Round Robin", SIGCOMM 1995.)
type lines struct {
	of    map[uint64]*line // never empty ones
	order []uint64         // the clients with lines, who is served next first
}

// line is what one client waits for.
type line struct {
	tickets []*ticket
	credit  int // quanta that it has saved for its first ticket
}

// add puts a ticket at the end of a client's line.
func (l *lines) add(t *ticket, client uint64) {
	if len(t.clients) == mostLines || slices.Contains(t.clients, client) {
		return
	}
	t.clients = append(t.clients, client)
	of := l.of[client]
	if of == nil {
		of = new(line)
		l.of[client] = of
		l.order = append(l.order, client)
	}
	of.tickets = append(of.tickets, t)
}

// next takes out whose turn it is, or returns nil when nobody waits. It goes round at
// most mostCost times.
func (l *lines) next() *ticket {
	for len(l.order) > 0 {
		client := l.order[0]
		l.order = l.order[1:]
		of := l.of[client]
		for len(of.tickets) > 0 && of.tickets[0].over {
			of.tickets = of.tickets[1:]
		}
		if len(of.tickets) == 0 {
			delete(l.of, client)
			continue
		}
		var t *ticket
		if of.credit++; of.credit >= of.tickets[0].cost {
			t = of.tickets[0]
			of.credit -= t.cost
			of.tickets = of.tickets[1:]
		}
		if len(of.tickets) > 0 {
			l.order = append(l.order, client)
		} else {
			delete(l.of, client)
		}
		if t != nil {
			return t
		}
	}
	return nil
}
