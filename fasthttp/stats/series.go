package stats

import (
	"strconv"
	"sync/atomic"
	"time"
)

// maxPoints is how many points a series has at most: about what a screen shows.
const maxPoints = 720

// fold is how the rows of one point become the point's value.
type fold uint8

const (
	foldMax  fold = iota // the most: gauges, latencies. What was there for a moment shows in a week, too.
	foldMin              // the least: free space
	foldRate             // by the second: counts
)

// seriesColumn is one list of /stats.series.
type seriesColumn struct {
	name string
	col  int // the column of a row that it is made of
	fold fold
	unit float64 // the column's unit in the list's: 1e-9 makes seconds of nanoseconds
}

var seriesColumns = []seriesColumn{
	{"slots", colSlots, foldMax, 1},
	{"streams", colStreams, foldMax, 1},
	{"connections", colConnections, foldMax, 1},
	{"long_polls", colLongPolls, foldMax, 1},
	{"events", colEvents, foldMax, 1},
	{"event_bytes", colEventBytes, foldMax, 1},
	{"posts_per_second", colStored, foldRate, 1},
	{"duplicates_per_second", colDuplicates, foldRate, 1},
	{"refused_posts_per_second", colRefused, foldRate, 1},
	{"pulls_per_second", colPulls, foldRate, 1},
	{"requests_per_second", colRequests, foldRate, 1},
	{"failures_per_second", colFailures, foldRate, 1},
	{"limited_per_second", colLimited, foldRate, 1},
	{"cpu_cores", colCPU, foldRate, 1e-3},
	{"commit_p50_seconds", colCommitP50, foldMax, 1e-9},
	{"commit_p99_seconds", colCommitP99, foldMax, 1e-9},
	{"stream_lag_p99_seconds", colLagP99, foldMax, 1e-9},
	{"memory_bytes", colResident, foldMax, 1},
	{"slot_memory_bytes", colSlotMemory, foldMax, 1},
	{"disk_free_bytes", colDiskFree, foldMin, 1},
}

// point is what the rows of a point come to in one column.
type point struct {
	value  int64 // of the rows: the most, the least or the sum
	spanMs int64 // the time that the sum is of
	any    bool  // a row had a value
}

func (c *seriesColumn) add(p *point, r *row) {
	v := r[c.col]
	if v == noValue {
		return
	}
	switch c.fold {
	case foldMax:
		p.value = max(p.value, v)
	case foldMin:
		if !p.any || v < p.value {
			p.value = v
		}
	case foldRate:
		p.value += v
		p.spanMs += max(r[colSpan], 0)
	}
	p.any = true
}

// appendPoint appends a point's value, or null.
func (c *seriesColumn) appendPoint(b []byte, p *point) []byte {
	v := float64(p.value) * c.unit
	if c.fold == foldRate {
		v = v * 1000 / float64(p.spanMs)
	}
	switch {
	case !p.any || c.fold == foldRate && p.spanMs == 0:
		return append(b, "null"...)
	case v == float64(int64(v)):
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, v, 'g', 5, 64)
}

// grid is the points in time of a series. They are multiples of step, and the last
// one is at now or before it. A row belongs to the last point that is not after it.
type grid struct {
	first, step int64 // Unix seconds, seconds
	points      int64
}

func newGrid(hours int, now, every int64) grid {
	g := grid{step: every}
	span := int64(hours) * 3600
	if least := (span + maxPoints - 1) / maxPoints; least > g.step {
		g.step = (least + every - 1) / every * every
	}
	g.points = max(span/g.step, 1)
	g.first = now - now%g.step - (g.points-1)*g.step
	return g
}

// appendSeries appends the reply of /stats.series: lists of equal length, with null
// where there is no value, what is now, and the limits.
func (t timeline) appendSeries(b []byte, hours int, now, every int64, limits []limit) []byte {
	g := newGrid(hours, now, every)
	points := make([][]point, len(seriesColumns))
	for i := range points {
		points[i] = make([]point, g.points)
	}
	for s := range func(yield func(stretch) bool) { t.within(g.first-1, now+1, yield) } {
		for i := range s.rows[s.from:s.to] {
			r := &s.rows[s.from+i]
			at := min((r[colTS]-g.first)/g.step, g.points-1)
			for c := range seriesColumns {
				seriesColumns[c].add(&points[c][at], r)
			}
		}
	}
	b = append(b, `{"hours":`...)
	b = strconv.AppendInt(b, int64(hours), 10)
	b = append(b, `,"now_unix":`...)
	b = strconv.AppendInt(b, now, 10)
	b = append(b, `,"step_seconds":`...)
	b = strconv.AppendInt(b, g.step, 10)
	b = append(b, ',')
	b = append(appendLimits(b, limits), ',')
	b = append(t.appendLatest(b, now, every), ',')
	b = append(b, `"t":[`...)
	for i := range g.points {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, g.first+i*g.step, 10)
	}
	for i := range seriesColumns {
		c := &seriesColumns[i]
		b = append(b, `],"`...)
		b = append(b, c.name...)
		b = append(b, `":[`...)
		for p := range points[i] {
			if p > 0 {
				b = append(b, ',')
			}
			b = c.appendPoint(b, &points[i][p])
		}
	}
	return append(b, "]}"...)
}

// appendLatest appends the member latest: the newest row alone. It has null for all
// if that row is too old to be what is now, as after a start. A row may be a second
// ahead: see clockSlack.
func (t timeline) appendLatest(b []byte, now, every int64) []byte {
	newest := row{}
	for i := range newest {
		newest[i] = noValue
	}
	if ts := t.last(); ts <= now+1 && now-ts < 3*every {
		rows := t[len(t)-1].rows
		newest = rows[len(rows)-1]
	}
	b = append(b, `"latest":{`...)
	for i := range seriesColumns {
		c := &seriesColumns[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, c.name...)
		b = append(b, `":`...)
		var p point
		c.add(&p, &newest)
		b = c.appendPoint(b, &p)
	}
	return append(b, '}')
}

// seriesCache keeps replies of /stats.series for a moment. It has no lock: two
// requests may make the same reply, and the last one stays. Hours that share a place
// replace each other. 1, 3, 6, 12, 24, 48, 72, 96 and 168, which pages ask for, do
// not.
type seriesCache [17]atomic.Pointer[cachedSeries]

// cachedSeries is a reply and what it was made of. It never changes.
type cachedSeries struct {
	hours int
	rows  *timeline
	made  int64 // Unix seconds
	body  []byte
}

const seriesAge = 5 // seconds

// body returns the reply. Nobody may write to it.
func (c *seriesCache) body(rows *timeline, hours int, now time.Time, every int64, limits func() []limit) []byte {
	place, at := &c[hours%len(c)], now.Unix()
	if got := place.Load(); got != nil && got.hours == hours && got.rows == rows && at-got.made < seriesAge && at >= got.made {
		return got.body
	}
	n := &cachedSeries{hours: hours, rows: rows, made: at, body: rows.appendSeries(nil, hours, at, every, limits())}
	place.Store(n)
	return n.body
}
