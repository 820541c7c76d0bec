package outside

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	relayhttp "cowrelay/fasthttp"

	"github.com/VictoriaMetrics/metricsql"
	"go.yaml.in/yaml/v3"
)

// The rules and the dashboard that operators load are files. These tests hold
// them against what a relay prints; promtool's part is in deploy_real_test.go.

const (
	rulesFile     = "../../../deploy/prometheus/alerts.yml"
	ruleTestsFile = "../../../deploy/prometheus/alerts_test.yml"
	dashboardFile = "../../../deploy/grafana/cowrelay.json"
)

type rule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

func readRules(t *testing.T) (rules []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	readYAML(t, rulesFile, &file)
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) == 0 {
		t.Fatalf("no rule in %s", rulesFile)
	}
	return rules
}

func readYAML(t *testing.T, name string, to any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// panel is what the tests look at of a dashboard's panel.
type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ UID string }
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ RefID, Expr, LegendFormat string }
	FieldConfig              struct {
		Defaults  struct{ Unit string }
		Overrides []struct {
			Matcher    struct{ Options any }
			Properties []struct {
				ID    string
				Value any
			}
		}
	}
}

type dashboard struct {
	Title, UID  string
	Panels      []panel
	Annotations struct {
		List []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	data, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	return d
}

// concrete puts values in the place of a dashboard's variables.
func concrete(expr string) string {
	return strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$route", ".*").Replace(expr)
}

// ownAxis says whether a series of the panel has an axis beside that of the others.
func (p *panel) ownAxis(legend string) bool {
	for _, o := range p.FieldConfig.Overrides {
		if name, ok := o.Matcher.Options.(string); !ok || !regexp.MustCompile("^(?:"+name+")$").MatchString(legend) {
			continue
		}
		for _, q := range o.Properties {
			if q.ID == "custom.axisPlacement" && q.Value == "right" {
				return true
			}
		}
	}
	return false
}

// expressions returns all queries of the dashboard, by where they stand.
func (d dashboard) expressions() map[string]string {
	all := make(map[string]string)
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all[fmt.Sprintf("panel %q, query %s", p.Title, q.RefID)] = concrete(q.Expr)
		}
	}
	for i, a := range d.Annotations.List {
		if a.Expr != "" {
			all[fmt.Sprintf("annotation %d", i)] = concrete(a.Expr)
		}
	}
	return all
}

func TestDeploy_DashboardForm(t *testing.T) {
	d := readDashboard(t)
	if d.Title != "cowrelay" || d.UID != "cowrelay" {
		t.Errorf("title %q, uid %q", d.Title, d.UID)
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	if !slices.Contains(variables, "datasource") || !slices.Contains(variables, "instance") {
		t.Errorf("variables: %v", variables)
	}
	ids, titles := map[int]bool{}, map[string]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %q: id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Title == "" || titles[p.Title] {
			t.Errorf("panel %d: title %q is empty or another's", p.ID, p.Title)
		}
		titles[p.Title] = true
		g := p.GridPos
		if g.X < 0 || g.W <= 0 || g.X+g.W > 24 || g.H <= 0 {
			t.Errorf("panel %q lies outside: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "Up since" && !strings.HasPrefix(p.FieldConfig.Defaults.Unit, "dateTime") {
			t.Errorf("up since %s is no time", p.FieldConfig.Defaults.Unit)
		}
		if len(p.Description) < 10 || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks a description, a unit, the variable data source or a query", p.Title)
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if refs[q.RefID] {
				t.Errorf("panel %q has two queries %s", p.Title, q.RefID)
			}
			refs[q.RefID] = true
			// A limit is far above what there is mostly, which would be a line at 0.
			limit := strings.Contains(q.Expr, "_max{") || strings.Contains(q.LegendFormat, "limit")
			if p.Type == "timeseries" && limit && !strings.Contains(q.Expr, "/") && !p.ownAxis(q.LegendFormat) {
				t.Errorf("panel %q: the limit %q has no axis of its own", p.Title, q.LegendFormat)
			}
			if !strings.Contains(q.Expr, `instance=~"$instance"`) {
				t.Errorf("panel %q, query %s does not follow the variable instance", p.Title, q.RefID)
			}
		}
	}
}

func TestDeploy_AlertsForm(t *testing.T) {
	tests, err := os.ReadFile(ruleTestsFile)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range readRules(t) {
		name := r.Alert + r.Record
		if seen[name] {
			t.Errorf("two rules %s", name)
		}
		seen[name] = true
		if r.Alert == "" {
			continue
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", name, s)
		}
		if !strings.HasPrefix(name, "Cowrelay") || len(r.Annotations["summary"]) < 20 || len(r.Annotations["description"]) < 40 {
			t.Errorf("%s: its name, summary or description is short", name)
		}
		if !strings.Contains(string(tests), `ALERTS{alertname="`+name+`", alertstate="firing", `) {
			t.Errorf("no test in %s makes %s fire", ruleTestsFile, name)
		}
	}
}

// Every metric and label that rules and dashboard name is one that a relay
// prints, and is asked for what its type has: rates of counters, quantiles of
// buckets.
func TestDeploy_MetricsExist(t *testing.T) {
	p := scrapePrinted(t)
	recorded := map[string]bool{"up": true, "ALERTS": true} // Prometheus's own
	all := readDashboard(t).expressions()
	for _, r := range readRules(t) {
		all["rule "+r.Alert+r.Record] = r.Expr
		if r.Record != "" {
			recorded[r.Record] = true
		}
	}
	for where, text := range all {
		expr, err := metricsql.Parse(text)
		if err != nil {
			t.Errorf("%s: %v: %s", where, err, text)
			continue
		}
		metricsql.VisitAll(expr, func(e metricsql.Expr) {
			switch e := e.(type) {
			case *metricsql.MetricExpr:
				for _, filters := range e.LabelFilterss {
					if name := filters[0].Value; !recorded[name] {
						for _, fault := range p.faults(name, filters[1:]) {
							t.Errorf("%s: %s", where, fault)
						}
					}
				}
			case *metricsql.FuncExpr:
				if f := strings.ToLower(e.Name); f == "rate" || f == "increase" || f == "irate" {
					name := metricOf(e.Args[0])
					if p.kinds[name] != "counter" {
						t.Errorf("%s: %s of %s, which is a %s", where, f, name, p.kinds[name])
					}
				}
				if e.Name == "histogram_quantile" && !strings.Contains(string(e.AppendString(nil)), "_bucket") {
					t.Errorf("%s: a quantile of what is no histogram", where)
				}
			}
		})
	}
}

// The test above must be able to say no.
func TestDeploy_MetricsExistSaysNo(t *testing.T) {
	p := scrapePrinted(t)
	for _, text := range []string{
		"cowrelay_no_such_thing", "cowrelay_streams_bucket", "cowrelay_commit_duration_seconds", "process_no_such_thing",
		`cowrelay_streams_closed_total{reason="boredom"}`, `cowrelay_streams_closed_total{why="slow"}`,
	} {
		expr, err := metricsql.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		filters := expr.(*metricsql.MetricExpr).LabelFilterss[0]
		if len(p.faults(filters[0].Value, filters[1:])) == 0 {
			t.Errorf("%s is accepted", text)
		}
	}
}

// metricOf is the name of the metric below a rollup, or "".
func metricOf(e metricsql.Expr) string {
	if r, ok := e.(*metricsql.RollupExpr); ok {
		e = r.Expr
	}
	if m, ok := e.(*metricsql.MetricExpr); ok && len(m.LabelFilterss) == 1 {
		return m.LabelFilterss[0][0].Value
	}
	return ""
}

// printed is what a relay shows at /metrics: its samples, and of what kind each
// is. The parts of a histogram are counters.
type printed struct {
	kinds   map[string]string
	samples map[string][]string // lines by name
}

func scrapePrinted(t *testing.T) *printed {
	t.Helper()
	r := relaytest.Start(t, t.TempDir())
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 300))
	r.Pull(s, "")
	resp, err := http.Get(r.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	p := &printed{kinds: make(map[string]string), samples: make(map[string][]string)}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name := line[:strings.IndexAny(line, "{ ")]
		p.samples[name] = append(p.samples[name], line)
		p.kinds[name] = "gauge"
		for _, suffix := range []string{"_total", "_bucket", "_sum", "_count"} {
			if strings.HasSuffix(name, suffix) {
				p.kinds[name] = "counter"
			}
		}
	}
	for _, m := range relayhttp.MetricTable() {
		if m.Type == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				p.kinds[m.Name+suffix] = "counter"
			}
		} else {
			p.kinds[m.Name] = m.Type
		}
	}
	return p
}

// faults says what is wrong with a metric of this name and labels.
func (p *printed) faults(name string, filters []metricsql.LabelFilter) (list []string) {
	if p.kinds[name] == "" {
		if strings.HasPrefix(name, "process_") && runtime.GOOS != "linux" {
			return nil // most of these come from /proc
		}
		return []string{"no relay prints " + name}
	}
	if strings.HasPrefix(name, "cowrelay_fleet_") {
		return nil // a relay alone prints none of their samples: e2e/fleet looks for these
	}
	for _, f := range filters {
		want := f.Label + `="`
		if f.Label == "job" || f.Label == "instance" { // the scrape's
			continue
		}
		if !f.IsRegexp && !f.IsNegative {
			want += f.Value + `"`
		}
		if !slices.ContainsFunc(p.samples[name], func(line string) bool { return strings.Contains(line, want) }) {
			list = append(list, fmt.Sprintf("no sample of %s has %s", name, want))
		}
	}
	return list
}
