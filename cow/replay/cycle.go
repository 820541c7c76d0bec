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
	j.takeQueue()
	ops := j.taken
	for {
		size := entryHead + 1 + totalsSize + entryChecksum
		records := 0
		j.sent = j.sent[:0]
		for ; len(groups) > 0; groups = groups[1:] {
			g := &groups[0]
			g.Outcome, g.NewVersion, g.Err = cow.Unknown, 0, nil
			n, err := checkGroup(g)
			if err != nil {
				g.Outcome, g.Err = cow.Refused, err
				continue
			}
			if len(j.sent) > 0 && size+n > MaxEntry {
				break
			}
			size += n
			j.sent = append(j.sent, sent{group: g})
		}
		for ; len(ops) > 0; ops = ops[1:] {
			op := ops[0]
			if j.conflicts(op) {
				op.answer(0, cow.ErrConflict)
				continue
			}
			n := recordSize(op.key, op.value)
			if len(j.sent) > 0 && size+n > MaxEntry || records == maxRecords {
				break
			}
			size += n
			records++
			j.sent = append(j.sent, sent{record: op})
		}
		if len(j.sent) == 0 {
			break
		}
		j.write(size)
		clear(j.sent)
	}
	clear(j.taken)
	j.taken = j.taken[:0]
}

// checkGroup finds a group that contradicts itself. No other writer can have caused
// that. It returns how long the group's op is at most.
func checkGroup(g *cow.Group) (size int, err error) {
	switch n := uint64(len(g.Events)); {
	case g.Op < cow.OpAppend || g.Op > cow.OpTouch:
		return 0, fmt.Errorf("BUG: unknown operation %d", g.Op)
	case g.Op != cow.OpAppend:
	case n == 0:
		return 0, errors.New("BUG: append without events")
	case g.First != g.Version:
		return 0, fmt.Errorf("BUG: append at position %d was decided on version %d", g.First, g.Version)
	case g.Count != g.First+n:
		return 0, fmt.Errorf("BUG: append of %d events at position %d says that the slot then has %d", n, g.First, g.Count)
	}
	size = groupSize(g)
	if size > MaxEntry-1024 {
		return 0, fmt.Errorf("BUG: a group of %d bytes, an entry has at most %d", size, MaxEntry)
	}
	return size, nil
}

// write makes an entry of j.sent, which has at most size bytes. It writes the entry
// to the log, applies it, shows it and answers.
//
// The order of the steps keeps I3 and I4: nothing of an entry reaches the state, the
// backlog or a watcher before the log has it, and nothing is answered before readers
// can see it.
func (j *Journal) write(size int) {
	c, counted := j.backlog.begin(size)
	start := len(c.buf)
	j.number++
	b := appendHead(c.buf, header{producer: j.producer, number: j.number})
	for _, s := range j.sent {
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
	b = appendChecksum(b, start)
	c.buf = b
	seq := j.append(b[start:])

	if err := j.state.own(header{producer: j.producer, number: j.number}, seq, b[start:], &c.fx); err != nil {
		j.die(err)
	}
	records, done := j.backlog.publish(c, seq, j.state.totals, counted)
	for i := range records {
		j.watchers.tell(&records[i])
	}
	done()
	j.entries.Add(1)
	for i, s := range j.sent {
		res := &j.state.results[i]
		switch {
		case s.group != nil:
			s.group.Outcome, s.group.NewVersion, s.group.Err = res.outcome, res.version, res.err
		case res.outcome == cow.Stored:
			s.record.answer(res.version, nil)
		default:
			s.record.answer(0, cow.ErrConflict)
		}
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
