package operate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// reading is what a relay said of itself at one moment.
type reading struct {
	at       time.Time
	families map[string]*dto.MetricFamily
	slots    []slotRow
	more     int         // slots beside these
	refused  error       // why there are no slots
	fleet    []memberRow // relays that share the log, none for a log of its own
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
	if err == nil {
		relays, err := listFleet(ctx, c)
		if err == nil {
			r.fleet, err = relays.rows()
		}
		if err != nil && adminclient.Status(err) != http.StatusNotFound {
			return nil, err
		}
	}
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

// label chooses series: by a label's name, and by those values of it that count.
// Without values all count.
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

// countsAll says whether a series counts by each of the labels.
func countsAll(labels []label, m *dto.Metric) bool {
	for _, l := range labels {
		if _, ok := l.of(m); !ok {
			return false
		}
	}
	return true
}

// value is the sum of a family's series that have the labels.
func (r *reading) value(family string, labels ...label) (sum float64) {
	for _, m := range r.families[family].GetMetric() {
		if countsAll(labels, m) {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return sum
}

// values returns the values that a label has in a family.
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
