package soak

import (
	"fmt"
	"math"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/record"
)

// What is held against what.
const (
	// fitted is the last part of the time, over which lines are fitted. Before it,
	// memory fills and pools grow.
	fitted = 0.75
	// A figure is flat if its line rises by no more in an hour than flatPart of its
	// mean, or than a fixed amount, where that is more. What readings scatter by, as
	// memory does between two collections, lets a line rise by chance: noise standard
	// errors of the slope are taken off. Readings close to each other are alike, so
	// that error is that of a line through the means of blocks parts of the time.
	noise       = 2
	blocks      = 9
	flatPart    = 0.05
	flatBytes   = 8 << 20
	flatThings  = 50      // goroutines, descriptors
	flatLog     = 1 << 20 // the text log grows only with what an operator should know
	shortestRun = 30 * time.Minute
	// The disk may take diskTimes the bytes of the events, and diskFixed: the journal's
	// files, and what compactions have not dropped yet.
	diskTimes = 2
	diskFixed = 256 << 20
)

// A point is a figure at a time in seconds.
type point struct{ at, v float64 }

// A line is fitted to points by least squares.
type line struct {
	mean   float64
	hour   float64 // how much it rises in an hour
	minute float64 // over how many minutes it goes
	n      int
}

func fit(ps []point) line {
	l := line{n: len(ps)}
	if l.n == 0 {
		return l
	}
	at := 0.0
	for _, p := range ps {
		at, l.mean = at+p.at/float64(l.n), l.mean+p.v/float64(l.n)
	}
	over, under := 0.0, 0.0
	for _, p := range ps {
		over += (p.at - at) * (p.v - l.mean)
		under += (p.at - at) * (p.at - at)
	}
	if under > 0 {
		l.hour = over / under * time.Hour.Seconds()
	}
	l.minute = (ps[l.n-1].at - ps[0].at) / 60
	return l
}

// noiseOf returns the standard error of how much a line through ps rises in an hour.
func noiseOf(ps []point) float64 {
	if len(ps) > 2*blocks {
		means := make([]point, blocks)
		for i := range means {
			part := ps[i*len(ps)/blocks : (i+1)*len(ps)/blocks]
			for _, p := range part {
				means[i].at += p.at / float64(len(part))
				means[i].v += p.v / float64(len(part))
			}
		}
		ps = means
	}
	l, at := fit(ps), 0.0
	if l.n < 3 {
		return 0
	}
	for _, p := range ps {
		at += p.at / float64(l.n)
	}
	left, under := 0.0, 0.0
	for _, p := range ps {
		d := p.v - l.mean - l.hour/time.Hour.Seconds()*(p.at-at)
		left += d * d
		under += (p.at - at) * (p.at - at)
	}
	if under == 0 {
		return 0
	}
	return math.Sqrt(left/float64(l.n-2)/under) * time.Hour.Seconds()
}

// last returns the points of the last part of the time.
func last(ps []point, total time.Duration) []point {
	from := total.Seconds() * (1 - fitted)
	for i, p := range ps {
		if p.at >= from {
			return ps[i:]
		}
	}
	return nil
}

// flat holds the rise of a figure against its bound.
func flat(v *record.Verdict, name string, total time.Duration, ps []point, fixed float64, show func(float64) string) {
	ps = last(ps, total)
	l, err := fit(ps), noiseOf(ps)
	if l.n < 3 {
		v.Bar(name, false, "%d readings are too few to say anything", l.n)
		return
	}
	rise, over := l.hour, "an hour"
	if total < shortestRun { // it says little about an hour
		rise, err, over = l.hour*l.minute/60, err*l.minute/60, fmt.Sprintf("%.1f min", l.minute)
	}
	most := max(flatPart*l.mean, fixed)
	v.Bar(name, rise-noise*err <= most, "%s in the mean, %s in %s, standard error %s (at most %s; %d readings over the last %.1f min)",
		show(l.mean), signed(rise, show), over, show(err), show(most), l.n, l.minute)
}

func signed(f float64, show func(float64) string) string {
	if f < 0 {
		return "-" + show(-f)
	}
	return "+" + show(f)
}

func bytesText(f float64) string { return books.MiB(int64(f)) }
func things(f float64) string    { return fmt.Sprintf("%.1f", f) }

// points picks a figure from all samples.
func (r *Record) points(of func(*Sample) int64) []point {
	out := make([]point, len(r.Samples))
	for i := range r.Samples {
		out[i] = point{r.Samples[i].At, float64(of(&r.Samples[i]))}
	}
	return out
}

func (r *Record) live() []point {
	var out []point
	for _, b := range r.Readings {
		out = append(out, point{b.At, float64(b.Live + b.Store)})
	}
	return out
}

// Judge says what the record comes to. A run that was cut off is judged by what
// there is of it, and does not pass.
func (r *Record) Judge() *record.Verdict {
	v := record.NewVerdict()
	if len(r.Samples) == 0 {
		v.Bar("samples", false, "there are none")
		return v
	}
	total := min(r.Setup.Time, time.Duration(r.Samples[len(r.Samples)-1].At*float64(time.Second)))
	r.judgeLoad(v)
	flat(v, "live heap is flat", total, r.live(), flatBytes, bytesText)
	for _, f := range []struct {
		name  string
		of    func(*Sample) int64
		fixed float64
		show  func(float64) string
	}{
		{"resident memory is flat", func(s *Sample) int64 { return s.RSS }, flatBytes, bytesText},
		{"the group's own memory is flat", func(s *Sample) int64 { return s.Own }, flatBytes, bytesText},
		{"memory of Go's runtime is flat", func(s *Sample) int64 { return s.Go }, flatBytes, bytesText},
		{"memory outside Go's runtime is flat", func(s *Sample) int64 { return s.RSS - s.Go }, flatBytes, bytesText},
		{"counted memory is flat", func(s *Sample) int64 { return s.Counted }, flatBytes, bytesText},
		{"goroutines are flat", func(s *Sample) int64 { return s.Goroutines }, flatThings, things},
		{"descriptors are flat", func(s *Sample) int64 { return s.Descriptors }, flatThings, things},
		{"the text log is flat", func(s *Sample) int64 { return s.Log }, flatLog, bytesText},
	} {
		flat(v, f.name, total, r.points(f.of), f.fixed, f.show)
	}
	r.judgeBooks(v)
	r.judgeMost(v, total)
	return v
}

// Summary is a line of what the load came to, for people.
func (r *Record) Summary() string {
	if r.Load == nil {
		return ""
	}
	return r.Load.Line() + "\n"
}

// judgeLoad: the load ran to its end, and every answer was right.
func (r *Record) judgeLoad(v *record.Verdict) {
	if r.Load == nil {
		v.Bar("the load", false, "it was cut off after %.1f of %.1f minutes", r.Samples[len(r.Samples)-1].At/60, r.Setup.Time.Minutes())
		return
	}
	s := &r.Load.Relay
	killed := int64(0)
	if s.Group != nil {
		killed = s.Group.Killed
	}
	text := ""
	if s.Errors > 0 {
		text = ", the first: " + s.FirstError
	}
	v.Bar("the load", s.Errors == 0 && killed == 0, "%.0f operations a second, all events once and in order; %d wrong or missing%s; the kernel ended %d processes for want of memory",
		s.PerSec, s.Errors, text, killed)
}

// judgeBooks: at each reading, what lives agrees with what is counted.
func (r *Record) judgeBooks(v *record.Verdict) {
	if len(r.Readings) == 0 {
		v.Bar("the books agree", false, "they were not read")
		return
	}
	worst := &r.Readings[0]
	off := func(b *Reading) int64 { return max(b.Difference()-b.Rest, b.Rest-b.Difference()) }
	bad := 0
	for i := range r.Readings {
		b := &r.Readings[i]
		if b.Check() != nil {
			bad++
		}
		if off(b)-b.Allowed() > off(worst)-worst.Allowed() {
			worst = b
		}
	}
	v.Bar("the books agree", bad == 0, "%d readings, %d of them off by too much; the worst, at %.0f min: %s of live heap without the store's, %s counted, %s of difference at rest: off by %s (at most %s)",
		len(r.Readings), bad, worst.At/60, books.MiB(worst.Live), books.MiB(worst.Counted), books.MiB(worst.Rest), books.MiB(off(worst)), books.MiB(worst.Allowed()))
}

// judgeMost: what is counted is within the budget, and the disk within its bound.
// Writers may go over the budget for a moment, so there the mean counts.
func (r *Record) judgeMost(v *record.Verdict, total time.Duration) {
	var most, disk Sample
	over := 0
	for i, s := range r.Samples {
		if s.Disk > diskTimes*s.EventBytes+diskFixed {
			over++
		}
		if i == 0 || s.Counted > most.Counted {
			most = s
		}
		if i == 0 || s.Disk > disk.Disk {
			disk = s
		}
	}
	// The backlog is bounded by itself. A quarter of the budget may be evicted, and not
	// collected yet, beside the rest.
	counts := fit(last(r.points(func(s *Sample) int64 { return s.Counted - s.Kinds["backlog"] - s.Kinds["retired"] }), total))
	v.Bar("counted memory is within the budget", counts.mean <= float64(most.Budget), "%s in the mean, without the backlog and what waits for a collection; with them at most %s; the budget is %s",
		bytesText(counts.mean), books.MiB(most.Counted), books.MiB(most.Budget))
	v.Bar("the disk follows the events", over == 0, "at most %s for %s of events (at most twice as much and %s); %d samples are over it",
		books.MiB(disk.Disk), books.MiB(disk.EventBytes), books.MiB(diskFixed), over)
}
