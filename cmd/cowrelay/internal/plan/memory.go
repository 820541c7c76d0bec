package plan

// What memory is taken beside the runtime's, in bytes. Measured with 2000 and 19,000
// silent streams, in a control group: 4.1 KB of the kernel's for each, and 2.2 KB
// of heap and stacks with the garbage of an idle relay.
const (
	kernelPerConn = 4400 // socket, file, inode, name, and the poller's entry
	ownPerConn    = 2200
)

// Memory is how the memory of a control group or a machine is shared out, in
// bytes:
//
//	limit = kernel's for connections + files + spare + the runtime's
//	the runtime's = connections + budget + garbage
type Memory struct {
	// Runtime is Go's memory limit: beyond it the runtime collects harder.
	Runtime int64
	// Budget is of it, for slots, store and requests.
	Budget int64
	// Kernel is what the kernel takes for connections, Files the part of the page
	// cache that the store works well with, and Spare what nobody has: buffers of
	// sockets, and what comes faster than it can be freed.
	Kernel, Files, Spare int64
}

// ShareMemory shares out limit bytes for so many connections. With more
// connections than fit into a quarter of it, the kernel gets that quarter all the
// same: then memory runs out before connections do. A budget of the operator's is
// kept, and with 0 it is three fifths of what the connections leave of the
// runtime's memory: the rest is for garbage and for what no budget counts.
func ShareMemory(limit int64, conns int, budget int64) Memory {
	m := Memory{
		Kernel: min(int64(conns)*kernelPerConn, limit/4),
		Files:  min(limit/16, 256<<20),
		Spare:  limit / 10,
	}
	m.Runtime = limit - m.Kernel - m.Files - m.Spare
	if m.Budget = budget; budget == 0 {
		m.Budget = defaultBudget(m.Runtime - min(int64(conns)*ownPerConn, m.Runtime/4))
	}
	// A budget that the runtime's part can't hold takes from the other parts:
	// collecting without rest would be worse.
	m.Runtime = max(m.Runtime, min(m.Budget/4*5, limit/10*9))
	return m
}

// GivenMemory is for an operator who has set Go's memory limit. Then nothing else
// is known of what the process may take.
func GivenMemory(runtime, budget int64) Memory {
	m := Memory{Runtime: runtime, Budget: budget}
	if budget == 0 {
		m.Budget = defaultBudget(runtime)
	}
	return m
}

func defaultBudget(of int64) int64 { return max(of/10*6, MinBudget) }
