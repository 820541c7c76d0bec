package replay

import (
	"errors"
	"fmt"
	"time"

	"cowrelay/cow"
)

// cycle writes groups and the records that wait, and answers both. The caller holds
// the turn.
func (j *Journal) cycle(groups []cow.Group) {
	j.taken = j.takeQueue(j.taken[:0])
	p := packer{groups: groups, records: j.taken, limit: j.limit, state: j.state}
	for {
		size := 0
		if j.sent, size = p.next(j.sent[:0]); len(j.sent) == 0 {
			break
		}
		j.write(size)
		clear(j.sent)
	}
	clear(j.taken)
	j.taken = j.taken[:0]
}

// packer makes entries of groups and records, in their order.
type packer struct {
	groups  []cow.Group
	records []*recordOp
	limit   int // of an entry of more than one op, in bytes
	// state answers records that can't hold without an entry. nil: only the log can
	// say, as other relays write to it too.
	state *State
	// allowed says whether an op may be written. nil: each may.
	allowed func(cow.Op) bool
}

// entryFrame is how many bytes an entry has beside its groups and records, at most.
const entryFrame = entryHead + 1 + totalsSize + entryChecksum

// spare is what an entry keeps free beside one large op.
const spare = 1024

// next appends the ops of the next entry to list. It returns how long the entry is at
// most. No ops: there is no other. Groups that contradict themselves, or may
// not be written yet, are answered.
func (p *packer) next(list []sent) (_ []sent, size int) {
	size = entryFrame
	for ; len(p.groups) > 0; p.groups = p.groups[1:] {
		g := &p.groups[0]
		g.Outcome, g.NewVersion, g.Err = cow.Unknown, 0, nil
		n, err := checkGroup(g)
		if err != nil {
			g.Outcome, g.Err = cow.Refused, err
			continue
		}
		if p.allowed != nil && !p.allowed(g.Op) {
			g.Outcome, g.Err = cow.Refused, ErrFormat
			continue
		}
		if len(list) > 0 && size+n > p.limit {
			return list, size
		}
		size += n
		list = append(list, sent{group: g})
	}
	for records := 0; len(p.records) > 0; p.records = p.records[1:] {
		op := p.records[0]
		if p.state != nil && p.state.conflicts(op) {
			op.answer(0, cow.ErrConflict)
			continue
		}
		n := recordSize(op.key, op.value)
		if len(list) > 0 && size+n > p.limit || records == maxRecords {
			break
		}
		size += n
		records++
		list = append(list, sent{record: op})
	}
	return list, size
}

// checkGroup finds a group that contradicts itself, or that no entry has room for. No
// other writer can have caused that. It returns how long the group's op is at most.
func checkGroup(g *cow.Group) (size int, err error) {
	switch n := uint64(len(g.Events)); {
	case g.Op < cow.OpAppend || g.Op > cow.OpTrim:
		return 0, fmt.Errorf("BUG: unknown operation %d", g.Op)
	case g.Op == cow.OpTrim && g.Oldest <= g.First:
		return 0, fmt.Errorf("BUG: a trim from position %d to %d", g.First, g.Oldest)
	case g.Op != cow.OpAppend:
	case n == 0:
		return 0, errors.New("BUG: append without events")
	case g.First != g.Version:
		return 0, fmt.Errorf("BUG: append at position %d was decided on version %d", g.First, g.Version)
	case g.Count != g.First+n:
		return 0, fmt.Errorf("BUG: append of %d events at position %d says that the slot then has %d", n, g.First, g.Count)
	}
	size = groupSize(g)
	if size > MaxEntry-spare {
		return 0, fmt.Errorf("BUG: a group of %d bytes, an entry has at most %d", size, MaxEntry)
	}
	return size, nil
}

// appendOps writes the ops of an entry, and what Count has added.
func appendOps(b []byte, ops []sent, counted cow.Totals) []byte {
	for _, s := range ops {
		switch {
		case s.group != nil:
			b = appendGroup(b, s.group)
		case s.record.remove:
			b = appendDelete(b, s.record.key, s.record.expected)
		default:
			b = appendPut(b, s.record.key, s.record.value, s.record.expected, s.record.count)
		}
	}
	if counted != (cow.Totals{}) {
		b = appendCount(b, counted)
	}
	return b
}

// write makes an entry of j.sent, which has at most size bytes. It writes the entry
// to the log, applies it, shows it and answers.
//
// The order of the steps keeps I3 and I4: nothing of an entry reaches the state, the
// backlog or a watcher before the log has it, and nothing is answered before readers
// can see it.
func (j *Journal) write(size int) {
	c, counted := j.backlog.begin(size), j.backlog.takeCounted()
	start := len(c.buf)
	j.number++
	h := header{format: formatOf(j.sent), producer: j.producer, number: j.number}
	c.buf = appendChecksum(appendOps(appendHead(c.buf, h), j.sent, counted), start)
	entry := c.buf[start:]
	seq := j.append(entry)

	if err := j.state.own(h, seq, entry, &c.fx); err != nil {
		j.die(err)
	}
	_, done := j.show(c, seq, counted)
	done()
	j.entries.Add(1)
	for i := range j.sent {
		j.sent[i].answer(&j.state.results[i])
	}
}

// append gives an entry to the log and returns its number.
func (j *Journal) append(entry []byte) uint64 {
	if j.dead.Load() {
		select {}
	}
	start := time.Now()
	seq, err := j.log.Append(entry)
	if err != nil {
		j.die(fmt.Errorf("writing to the log failed: %w", err))
	}
	if j.dead.Load() { // the store failed meanwhile
		select {}
	}
	if j.opts.Observe != nil {
		j.opts.Observe(time.Since(start), len(entry))
	}
	return seq
}
