package operate

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"sort"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// reading is what a relay told at one moment.
type reading struct {
	at       time.Time
	families map[string]*dto.MetricFamily
	slots    []slotRow
	more     int   // slots beside these
	refused  error // why there are no slots
}

// look asks the relay for its metrics and its first slots.
func look(ctx context.Context, c *adminclient.Client, by string, limit int) (*reading, error) {
	r := &reading{}
	list, err := listSlots(ctx, c, by, limit, false, true)
	if err == nil {
		r.slots, err = list.rows()
		r.more = list.Matching - len(r.slots)
	}
	r.refused = err
	res, err := c.Open(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	r.at = time.Now()
	var parser expfmt.TextParser
	if r.families, err = parser.TextToMetricFamilies(io.LimitReader(res.Body, 16<<20)); err != nil {
		return nil, fmt.Errorf("%s: cannot read the metrics: %w", c.URL, err)
	}
	if r.families["cowrelay_slots"] == nil {
		return nil, fmt.Errorf("%s: this is not the admin listener of a relay", c.URL)
	}
	return r, nil
}

// label is a label's name and the values of it that count, all of them if
// there are none.
type label struct {
	name   string
	values []string
}

func (l label) of(m *dto.Metric) (value string, counts bool) {
	for _, p := range m.GetLabel() {
		if p.GetName() == l.name {
			value = p.GetValue()
		}
	}
	for _, v := range l.values {
		counts = counts || v == value
	}
	return value, counts || len(l.values) == 0
}

// value is the sum of a family's series that have the labels.
func (r *reading) value(family string, labels ...label) (sum float64) {
	for _, m := range r.families[family].GetMetric() {
		all := true
		for _, l := range labels {
			_, ok := l.of(m)
			all = all && ok
		}
		if all {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return sum
}

// values returns what values a label of a family has.
func (r *reading) values(family, name string) (list []string) {
	seen := map[string]bool{}
	for _, m := range r.families[family].GetMetric() {
		if v, _ := (label{name: name}).of(m); !seen[v] {
			seen[v] = true
			list = append(list, v)
		}
	}
	return list
}

// buckets is a histogram: how many were at most as large as each bound.
type buckets struct {
	bounds []float64
	counts []float64
	n, sum float64
}

func (r *reading) histogram(family string, l label) (b buckets) {
	for _, m := range r.families[family].GetMetric() {
		if _, ok := l.of(m); !ok {
			continue
		}
		h := m.GetHistogram()
		b.n += float64(h.GetSampleCount())
		b.sum += h.GetSampleSum()
		if b.counts == nil {
			b.bounds, b.counts = make([]float64, len(h.GetBucket())), make([]float64, len(h.GetBucket()))
		}
		for i, k := range h.GetBucket() {
			b.bounds[i] = k.GetUpperBound()
			b.counts[i] += float64(k.GetCumulativeCount())
		}
	}
	return b
}

// minus is what came to a histogram since it was o.
func (b buckets) minus(o buckets) buckets {
	if len(b.counts) != len(o.counts) {
		return buckets{}
	}
	d := buckets{b.bounds, make([]float64, len(b.counts)), b.n - o.n, b.sum - o.sum}
	for i := range d.counts {
		d.counts[i] = b.counts[i] - o.counts[i]
	}
	return d
}

// quantile estimates as Prometheus' histogram_quantile does: evenly within a
// bucket. It is NaN of nothing, and the largest bound of what is beyond it.
func (b buckets) quantile(q float64) float64 {
	if b.n <= 0 || len(b.counts) == 0 {
		return math.NaN()
	}
	rank := q * b.n
	i := sort.Search(len(b.counts), func(i int) bool { return b.counts[i] >= rank })
	below, from := 0.0, 0.0
	if i > 0 {
		below, from = b.counts[i-1], b.bounds[i-1]
	}
	if i == len(b.counts) || math.IsInf(b.bounds[i], 1) {
		return from
	}
	return from + (b.bounds[i]-from)*(rank-below)/(b.counts[i]-below)
}

// change is what happened between two readings of one process.
type change struct{ from, to *reading }

// since returns the change from an earlier reading. Where there is none, or
// the process is another one by now, the change is from nothing to nothing.
func (r *reading) since(old *reading) change {
	const start = "process_start_time_seconds"
	if old == nil || old.value(start) != r.value(start) {
		old = r
	}
	return change{old, r}
}

func (c change) known() bool { return c.from != c.to }

func (c change) seconds() float64 { return c.to.at.Sub(c.from.at).Seconds() }

// rate is by how much a second a counter grew, NaN if that is not known.
func (c change) rate(family string, labels ...label) float64 {
	if !c.known() {
		return math.NaN()
	}
	return max(c.to.value(family, labels...)-c.from.value(family, labels...), 0) / c.seconds()
}

func (c change) histogram(family string, l label) buckets {
	return c.to.histogram(family, l).minus(c.from.histogram(family, l))
}

// statuses returns the label of a class of statuses: '5' for 5xx.
func (r *reading) statuses(class byte) label {
	l := label{"status", []string{""}}
	for _, s := range r.values("cowrelay_http_requests_total", "status") {
		if s != "" && s[0] == class {
			l.values = append(l.values, s)
		}
	}
	return l
}
