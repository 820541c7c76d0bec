package filelog

import (
	"errors"
	"fmt"
	"path/filepath"
)

// survey is what a pass over all segments found.
//
// Entries count in an unbroken row from low+1 on. The row ends where the next entry
// can't be read. Was that entry synced? The mark says so, and so does each frame that
// can be read and was written after a sync of it. If it was, that is damage. If not,
// what lies there is a torn tail: the rest of writes that a crash cut off.
type survey struct {
	base  uint64 // what the file synced says: no entry up to it is in the log
	low   uint64 // entries up to it are not needed
	last  uint64 // the newest entry of the row
	floor uint64 // up to it entries were synced
	mark  uint64 // what the file synced says; 0 if it can't be read
	lost  *Damage
	segs  []*surveyed
	at    int   // the segment that holds entry last; -1: none
	end   int64 // behind entry last in it
	torn  int64 // bytes of frames behind the row
	bytes int64 // of all files
}

// surveyed is one segment of a survey.
type surveyed struct {
	segment
	first uint64 // oldest entry of a frame that can be read, 0: none
	newer bool   // it has frames behind the row
}

// folder is a log that is opened.
type folder struct {
	fsys FS
	dir  string
}

func (d folder) path(number uint64) string { return filepath.Join(d.dir, segmentName(number)) }

// found gets what a survey meets on its way. Both may be nil.
type found struct {
	damage func(*Damage)
	tick   func(n int64) error
}

// survey reads all. base is Options.Base. An error is one of reading, or of a format
// that is not known. Damage is no error here.
func (d folder) survey(base uint64, on found) (*survey, error) {
	names, err := d.fsys.List(d.dir)
	if isMissing(err) || err == nil && len(names) == 0 {
		return nil, fmt.Errorf("%w: folder %q is missing or empty", ErrMissing, d.dir)
	} else if err != nil {
		return nil, err
	}
	s := &survey{at: -1}
	markPath := filepath.Join(d.dir, markName)
	fileBase, mark, err := readMark(d.fsys, d.dir)
	numbers := segmentNumbers(names)
	switch {
	case err == nil:
		s.base, s.mark = fileBase, mark
	case isMissing(err) && len(numbers) == 0:
		return nil, fmt.Errorf("%w: folder %q holds none", ErrMissing, d.dir)
	case isMissing(err):
		s.lost = &Damage{File: markPath, Needed: true, Why: "it is missing beside segments of the log"}
	case errors.Is(err, errMark):
		s.lost = &Damage{File: markPath, Needed: true, Why: err.Error()}
	default:
		return nil, err
	}
	if s.lost != nil {
		s.lost.Why += ", so it is not known up to where the log was synced"
		if on.damage != nil {
			on.damage(s.lost)
		}
	}
	s.low = max(base, fileBase)
	s.floor = max(s.mark, s.low)
	r := row{s: s, d: d, on: on}
	for _, number := range numbers {
		if err := r.segment(number); err != nil {
			return nil, fmt.Errorf("%s: %w", d.path(number), err)
		}
	}
	r.finish()
	return s, nil
}

// row follows the entries of a survey.
type row struct {
	s  *survey
	d  folder
	on found

	ended bool   // an entry behind the next one was found, and the next one was not
	next  uint64 // the entry that the row needs
	gaps  []*Damage
	lost  *Damage // the gap where the row ended

	seg    *surveyed
	from   int64     // where the next frame of seg should be
	newest uint64    // newest entry so far, also behind the row
	prev   *surveyed // holds entry newest
	behind int64     // behind entry newest in prev
	bad    *Damage   // a frame behind it whose header can be read
}

// maxGaps bounds what a survey keeps of a log that is damaged all over.
const maxGaps = 1000

func (r *row) segment(number uint64) error {
	file, err := r.d.fsys.Open(r.d.path(number), false, false)
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return err
	}
	r.seg, r.from = &surveyed{segment: segment{number: number, size: size}}, 0
	r.s.segs = append(r.s.segs, r.seg)
	r.s.bytes += size
	w := window{file: file, size: size, tick: r.on.tick}
	return w.scan(number, r.frame)
}

func (r *row) frame(f frame, off int64, entry []byte) error {
	s := r.s
	s.floor = max(s.floor, f.synced)
	if entry == nil {
		if f.seq >= r.next {
			r.seg.newer = true
			s.torn += f.size()
		}
		if r.bad == nil {
			r.bad = &Damage{File: r.d.path(r.seg.number), Offset: off, First: f.seq}
		}
		return nil
	}
	if r.next == 0 {
		r.next, r.newest = s.low+1, min(s.low, f.seq-1)
	}
	hole := off > r.from
	if f.seq != r.newest+1 || hole {
		r.gap(f.seq, hole)
	}
	if !r.ended && f.seq > r.next {
		r.ended = true
		r.lost = r.gaps[len(r.gaps)-1]
	}
	switch {
	case r.ended && f.seq >= r.next:
		r.seg.newer = true
		s.torn += f.size()
	default:
		r.next = max(r.next, f.seq+1)
		r.seg.last = max(r.seg.last, f.seq)
		if f.seq == r.next-1 {
			s.at, s.end = len(s.segs)-1, off+f.size()
		}
	}
	if r.seg.first == 0 {
		r.seg.first = f.seq
	}
	r.newest, r.prev, r.bad = f.seq, r.seg, nil
	r.from = off + f.size()
	r.behind = r.from
	return nil
}

// gap notes that entry seq does not follow the newest one. hole says that what can't
// be read lies before it in its segment.
func (r *row) gap(seq uint64, hole bool) {
	g := r.place(hole)
	g.First, g.Last = r.newest+1, seq-1
	if seq <= r.newest {
		g.First, g.Last, g.Why = seq, seq, fmt.Sprintf("it stands behind entry %d", r.newest)
	}
	g.Needed = g.Last > r.s.low
	if len(r.gaps) == maxGaps {
		r.gaps = r.gaps[:maxGaps-1]
	}
	r.gaps = append(r.gaps, g)
}

// place says where the entry behind the newest one should be.
func (r *row) place(hole bool) *Damage {
	if r.bad != nil {
		return r.bad
	}
	if hole {
		return &Damage{File: r.d.path(r.seg.number), Offset: r.from}
	}
	// A segment behind that of the newest entry, in which nothing can be read.
	blank := ""
	for _, seg := range r.s.segs {
		if (r.prev == nil || seg.number > r.prev.number) && seg.first == 0 {
			blank = r.d.path(seg.number)
			break
		}
	}
	full := r.prev == nil || r.behind+alignment > r.prev.size
	switch {
	case full && blank == "":
		return &Damage{File: r.d.dir, Why: "the segment that held it is missing"}
	case full:
		return &Damage{File: blank}
	}
	g := &Damage{File: r.d.path(r.prev.number), Offset: r.behind}
	if blank != "" {
		g.Why = "or it stood at the beginning of " + blank
	}
	return g
}

func (r *row) finish() {
	s := r.s
	if r.next == 0 {
		r.next = s.low + 1
		r.newest = s.low
	}
	s.last = r.next - 1
	if s.last < s.floor && !r.ended {
		r.gap(s.floor+1, false)
		r.lost = r.gaps[len(r.gaps)-1]
	}
	if s.last < s.floor {
		s.torn = 0
		if s.lost == nil {
			s.lost = r.lost
		}
	}
	if r.on.damage == nil {
		return
	}
	for _, g := range r.gaps {
		if g.First <= s.floor || g.First > g.Last {
			r.on.damage(g)
		}
	}
}

// read yields the entries of the row from a number on.
func (d folder) read(s *survey, from uint64, yield func(seq uint64, entry []byte) error) error {
	next := from
	stop := errors.New("stop")
	for _, seg := range s.segs {
		if next > s.last || seg.last < next {
			continue
		}
		err := d.readSegment(seg, func(f frame, off int64, entry []byte) error {
			switch {
			case next > s.last:
				return stop
			case f.seq < next || f.seq > s.last && entry != nil:
				return nil
			case f.seq > next || entry == nil:
				return &Damage{File: d.path(seg.number), Offset: off, First: next, Last: f.seq, Needed: true}
			}
			next++
			return yield(f.seq, entry)
		})
		if err != nil && err != stop {
			return err
		}
	}
	if next <= s.last {
		return &Damage{File: d.dir, First: next, Last: s.last, Needed: true, Why: "the segment that held it is missing"}
	}
	return nil
}

func (d folder) readSegment(seg *surveyed, yield func(f frame, off int64, entry []byte) error) error {
	file, err := d.fsys.Open(d.path(seg.number), false, false)
	if err != nil {
		return err
	}
	defer file.Close()
	w := window{file: file, size: seg.size}
	if err := w.scan(seg.number, yield); err != nil {
		return err
	}
	return nil
}
