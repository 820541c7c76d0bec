package fasthttp

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cowrelay/fasthttp/admin"
	"cowrelay/fasthttp/stats"

	"github.com/getkin/kin-openapi/openapi3"
)

func metricsText(g *rig) string {
	var b strings.Builder
	g.relay.WriteMetrics(&b)
	return b.String()
}

// metric reads one series.
func metric(g *rig, series string) float64 {
	g.Helper()
	return metricIn(g, metricsText(g), series)
}

// metricIn reads one series of a text.
func metricIn(g *rig, text, series string) float64 {
	g.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				g.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	g.Fatalf("no series %s", series)
	return 0
}

// What promtool asks for, without promtool.
func TestMetrics_Form(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.allocate().fill(2)
	text := metricsText(g)
	name := regexp.MustCompile(`^cowrelay_[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	series := regexp.MustCompile(`^([a-z_]+)(\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\})? (-?[0-9.e+-]+|\+Inf)$`)
	table := map[string]stats.Info{}
	for _, f := range MetricTable() {
		if table[f.Name].Name != "" {
			t.Errorf("%s stands twice in the table", f.Name)
		}
		table[f.Name] = f
		if !name.MatchString(f.Name) {
			t.Errorf("%s is no proper name", f.Name)
		}
		if strings.HasSuffix(f.Name, "_total") != (f.Type == "counter") {
			t.Errorf("%s is a %s", f.Name, f.Type)
		}
		if !slices.Contains([]string{"counter", "gauge", "histogram"}, f.Type) {
			t.Errorf("%s has type %q", f.Name, f.Type)
		}
		for _, bad := range []string{"_milliseconds", "_ms", "_kib", "_count", "_sum", "_bucket", "_info_total"} {
			if strings.HasSuffix(strings.TrimSuffix(f.Name, "_total"), bad) {
				t.Errorf("%s ends in %s", f.Name, bad)
			}
		}
		if len(f.Help) < 10 || strings.ContainsAny(f.Help, "\n\\") || !strings.HasSuffix(f.Help, ".") {
			t.Errorf("%s: help %q", f.Name, f.Help)
		}
		if n := strings.Count(text, "# HELP "+f.Name+" "+f.Help+"\n# TYPE "+f.Name+" "+f.Type+"\n"); n != 1 {
			t.Errorf("%s: HELP and TYPE stand %d times in /metrics", f.Name, n)
		}
	}
	seen, current := map[string]bool{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			current, _, _ = strings.Cut(rest, " ")
			continue
		}
		if !strings.HasPrefix(line, "cowrelay_") {
			continue
		}
		if !series.MatchString(line) {
			t.Errorf("not a series: %s", line)
		}
		key, _, _ := strings.Cut(line, " ")
		if seen[key] {
			t.Errorf("%s stands twice", key)
		}
		seen[key] = true
		family, _, _ := strings.Cut(key, "{")
		if table[family].Name == "" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base, ok := strings.CutSuffix(family, suffix); ok && table[base].Type == "histogram" {
					family = base
				}
			}
		}
		if table[family].Name == "" || family != current {
			t.Errorf("%s stands under %s, and its family is not in the table, or elsewhere", key, current)
		}
	}
}

// Buckets are cumulative and end in the count.
func TestMetrics_Histograms(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	m.fill(20)
	text := metricsText(g)
	later := metricsText(g)
	for _, f := range MetricTable() {
		if f.Type != "histogram" {
			continue
		}
		last, lastKey, infs := 0.0, "", 0
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, f.Name+"_bucket{") {
				continue
			}
			i := strings.LastIndex(line, " ")
			labels, _, _ := strings.Cut(line, `le="`)
			v, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
			if err != nil {
				t.Fatal(line)
			}
			if labels == lastKey && v < last {
				t.Errorf("not cumulative: %s", line)
			}
			last, lastKey = v, labels
			if strings.Contains(line, `le="+Inf"`) {
				infs++
				count := strings.TrimSuffix(strings.Replace(labels, "_bucket", "_count", 1), ",") + "}"
				count = strings.TrimSuffix(count, "{}")
				if n := metricIn(g, later, count); n < v {
					t.Errorf("%s is %v, its +Inf bucket %v", count, n, v)
				}
			}
		}
		if infs == 0 {
			t.Errorf("%s has no +Inf bucket", f.Name)
		}
	}
	if n := metric(g, "cowrelay_commit_batch_posts_sum"); n < 20 {
		t.Errorf("batches hold %v posts", n)
	}
	if metric(g, "cowrelay_journal_sync_duration_seconds_count") < 1 || metric(g, "cowrelay_commit_duration_seconds_count") < 1 {
		t.Error("no commit or sync was measured")
	}
}

func TestMetrics_MoveWithTraffic(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	m.fill(5)
	m.post(eventN(1)).want(t, 200)
	m.pull("")
	g.call("GET", "/v1/events/"+m.id, "", nil).want(t, 401)
	g.call("GET", "/nope", "", nil).want(t, 404)
	s := m.stream("", "")
	m.post(eventN(5)).want(t, 201)
	s.want(5, 6)
	old := m.stream("?since=e0", "")
	old.want(1, 6)
	m.longPoll("?since=e5&wait=20")
	g.eventually("the poll waits", func() bool { return metric(g, "cowrelay_long_polls") == 1 })
	for series, want := range map[string]float64{
		"cowrelay_slots": 1, "cowrelay_slots_hot": 1, "cowrelay_events": 6, "cowrelay_streams": 2, "cowrelay_streams_opened_total": 2,
		"cowrelay_posts_stored_total": 6, "cowrelay_posts_duplicate_total": 1, "cowrelay_panics_total": 0,
		"cowrelay_event_bytes": float64(6 * len(eventN(0))), "cowrelay_queue_posts": 0, "cowrelay_queue_bytes": 0,
		`cowrelay_http_requests_total{route="events",method="POST",status="201"}`: 6, `cowrelay_http_requests_total{route="events",method="POST",status="200"}`: 1, `cowrelay_http_requests_total{route="events",method="GET",status="200"}`: 1,
		`cowrelay_http_requests_total{route="events",method="GET",status="401"}`: 1, `cowrelay_http_requests_total{route="none",method="other",status="404"}`: 1,
		`cowrelay_http_requests_total{route="allocate",method="POST",status="201"}`: 1, `cowrelay_http_requests_total{route="stream",method="GET",status="200"}`: 2, `cowrelay_http_requests_in_flight{route="long_poll",method="GET"}`: 1, `cowrelay_http_requests_in_flight{route="events",method="GET"}`: 0,
		`cowrelay_streams_closed_total{reason="client"}`: 0, "cowrelay_frames_encoded_total": 1, `cowrelay_build_info{version="dev",sync="unknown"}`: 1,
	} {
		if got := metric(g, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if n := metric(g, "cowrelay_frames_replayed_total"); n < 4 {
		t.Errorf("%v frames replayed", n)
	}
	g.eventually("the lag is measured", func() bool { return metric(g, "cowrelay_stream_lag_seconds_count") >= 1 })
	if metric(g, `cowrelay_memory_bytes{kind="chunk"}`) <= 0 || metric(g, "cowrelay_http_connections") < 3 {
		t.Error("memory or connections are not counted")
	}
	s.close()
	g.eventually("the end is counted", func() bool { return metric(g, `cowrelay_streams_closed_total{reason="client"}`) == 1 })
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	operators := admin.Serve(ln, admin.Options{Logger: g.opts.relay.Logger})
	operators.Attach(g.relay, g.store)
	defer operators.Close()
	get := func(path string) (int, string) {
		res, err := http.Get("http://" + ln.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	for path, part := range map[string]string{
		"/metrics": "# TYPE cowrelay_slots gauge", "/healthz": "ok", "/readyz": "ok", "/debug/pprof/": "goroutine",
		"/debug/pprof/goroutine?debug=1": `"relay":"stream-writer"`,
	} {
		if status, body := get(path); status != 200 || !strings.Contains(body, part) {
			t.Errorf("%s: %d without %q", path, status, part)
		}
	}
	if status, body := get("/metrics"); status != 200 || !strings.Contains(body, "go_goroutines") || !strings.Contains(body, "process_") {
		t.Errorf("/metrics holds no runtime: %d", status)
	}
	starting := NewRelay(g.store, Options{Desk: g.desk, Logger: g.opts.relay.Logger})
	rec := httptest.NewRecorder()
	early := admin.New(true, admin.Options{Logger: g.opts.relay.Logger})
	early.Attach(starting, g.store)
	early.ServeHTTP(rec, httptest.NewRequest("GET", "/readyz", nil))
	if rec.Code != 503 {
		t.Errorf("/readyz before the relay serves: %d", rec.Code)
	}
	if err := starting.Drain(t.Context(), 0); err != nil {
		t.Error(err)
	}
	// Nothing of it is on the public side.
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		g.call("GET", path, "", nil).want(t, 404)
	}
	g.stop()
	if status, _ := get("/readyz"); status != 503 {
		t.Errorf("/readyz after the drain: %d", status)
	}
}

// Every status that is described can be seen coming: it stands at 0 from the start.
// No other series of a route begins later.
func TestMetrics_StatusesStandAtZero(t *testing.T) {
	g := newRig(t)
	text := metricsText(g)
	for template, item := range described().Paths.Map() {
		path := template
		for _, p := range item.Parameters {
			if p.Value.In == openapi3.ParameterInPath {
				path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", p.Value.Example.(string))
			}
		}
		rt, _ := findRoute([]byte(path))
		for method, op := range item.Operations() {
			if method == "HEAD" {
				continue // counts as GET
			}
			for status := range op.Responses.Map() {
				if !strings.Contains(text, fmt.Sprintf("\ncowrelay_http_requests_total{route=%q,method=%q,status=%q} 0\n", rt.name, method, status)) {
					t.Errorf("%s %s: %s does not stand at 0", method, rt.name, status)
				}
			}
		}
	}
	for _, series := range []string{
		`{route="long_poll",method="GET",status="503"}`, `{route="batch_post",method="POST",status="201"}`,
		`{route="none",method="other",status="405"}`, `{route="preflight",method="OPTIONS",status="204"}`,
	} {
		if metric(g, "cowrelay_http_requests_total"+series) != 0 {
			t.Errorf("%s is not 0", series)
		}
	}
}

// What is asked for is counted where it belongs: a pull that waits is not among the
// pulls' times, and what is in flight is seen.
func TestMetrics_Operations(t *testing.T) {
	t.Parallel()
	g := newRig(t, sharedWith("https://a.example"))
	m := g.allocate()
	m.longPoll("?wait=20")
	const flying = `cowrelay_http_requests_in_flight{route="long_poll",method="GET"}`
	g.eventually("the poll is in flight", func() bool { return metric(g, flying) == 1 })
	m.post(eventN(0)).want(t, 201)
	g.eventually("the poll has landed", func() bool { return metric(g, flying) == 0 })
	m.pull("")
	m.pull("?wait=20")
	g.call("HEAD", "/v1/events/"+m.id, m.token, nil).want(t, 200)
	g.call("POST", "/v1/events/"+m.id, m.token, []byte(eventN(1)+"\n"+eventN(2)), "Content-Type", "application/x-ndjson").want(t, 201)
	g.call("DELETE", "/v1/events/"+m.id, m.token, nil).want(t, 405)
	if res, _ := g.options("/v1/events/"+m.id, "Origin: https://a.example\nAccess-Control-Request-Method: POST\n"); res.StatusCode != 204 {
		t.Errorf("a preflight gets %d", res.StatusCode)
	}
	w := g.dial()
	w.out = nil
	w.send("no request\n\n")
	w.reply("GET").want(t, 400)
	for series, want := range map[string]float64{
		`{route="long_poll",method="GET",status="200"}`: 1, `{route="events",method="GET",status="200"}`: 3,
		`{route="events",method="POST",status="201"}`: 1, `{route="batch_post",method="POST",status="201"}`: 1,
		`{route="none",method="other",status="405"}`: 1, `{route="preflight",method="OPTIONS",status="204"}`: 1,
		`{route="none",method="other",status="400"}`: 1,
	} {
		if got := metric(g, "cowrelay_http_requests_total"+series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if n := metric(g, `cowrelay_http_request_duration_seconds_count{route="events",method="GET"}`); n != 3 {
		t.Errorf("%v pulls were measured, want 3", n)
	}
	for line := range strings.Lines(metricsText(g)) {
		if strings.HasPrefix(line, "cowrelay_http_requests_in_flight{") && !strings.HasSuffix(line, " 0\n") {
			t.Errorf("nothing is asked: %s", line)
		}
	}
}

// refused checks how many requests were refused for a reason.
func (g *rig) refused(reason string, want float64) {
	g.Helper()
	if got := metric(g, `cowrelay_refusals_total{reason="`+reason+`"}`); got != want {
		g.Errorf("%v refused for %s, want %v", got, reason, want)
	}
}

// Each right and each limit stands at 0 before the first case.
func TestMetrics_RefusalsFromTheStart(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	for _, reason := range []string{
		"right_post", "right_read", "right_slot", "right_owner", "slot_full", "rate", "intros", "slots", "streams", "stream_share", "slot_streams",
		"long_polls", "slot_tokens", "slot_tickets", "tokens", "token_share", "handles", "handle_share", "invites", "invite_share", "pairs", "pair_share",
		"connections", "arriving", "busy", "no_space", "draining", "fault",
	} {
		g.refused(reason, 0)
	}
}

// A refusal is counted by its reason. One that ran into a limit has a line in the log,
// of a crowd some.
func TestMetrics_Refusals(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	g := newRig(t, func(o *rigOptions) {
		o.relay.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.store.StreamsPerSlot, o.store.MaxSlots = 1, 1
	})
	m := g.allocate()
	for range 3 {
		g.call("POST", "/v1/slot/allocate", "", "{}").want(t, 503)
	}
	s := m.stream("", "")
	defer s.close()
	(<-m.longPoll("?wait=25")).want(t, 503)
	g.call("GET", "/v1/events/"+m.id, strings.Repeat("ab", 32), nil).want(t, 403)
	g.call("GET", "/v1/events/"+noSlot, m.token, nil).want(t, 404)
	g.call("GET", "/v1/events/"+m.id+"?limit=x", m.token, nil).want(t, 400)
	m.post(`{"event":`).want(t, 400)
	m.post(`{"event":{"p":"`+strings.Repeat("x", 300<<10)+`"}}`).want(t, 413)
	for reason, want := range map[string]float64{
		"slots": 3, "slot_streams": 1, "token": 1, "not_found": 1, "invalid": 2, "too_large": 1, "slot_full": 0, "long_polls": 0, "fault": 0,
	} {
		g.refused(reason, want)
	}
	for part, n := range map[string]int{"requests are refused at a limit": 2, "reason=slots refused=1": 1, "reason=slot_streams": 1, m.token: 0} {
		if strings.Count(log.String(), part) != n {
			t.Errorf("%q does not stand %d times in the log:\n%s", part, n, log.String())
		}
	}
}

// What comes, what goes out and what readers get is counted.
func TestMetrics_Traffic(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	s := m.stream("", "")
	in, out, streamed := metric(g, "cowrelay_http_received_bytes_total"), metric(g, `cowrelay_http_sent_bytes_total{by="reply"}`), metric(g, `cowrelay_http_sent_bytes_total{by="stream"}`)
	big := bigEvent("big", 100_000)
	m.post(big).want(t, 201)
	m.fill(3)
	s.next()
	s.want(0, 3)
	m.pull("?limit=3")
	m.pull("")
	old := m.stream("?from=0", "")
	old.next()
	old.want(0, 3)
	g.eventually("events are counted", func() bool { return metric(g, `cowrelay_events_delivered_total{by="stream"}`) == 8 })
	if n := metric(g, `cowrelay_events_delivered_total{by="pull"}`); n != 7 {
		t.Errorf("%v events pulled, want 7", n)
	}
	old.close()
	for series, before := range map[string]float64{
		"cowrelay_http_received_bytes_total": in, `cowrelay_http_sent_bytes_total{by="reply"}`: out + 100_000, `cowrelay_http_sent_bytes_total{by="stream"}`: streamed + 100_000,
	} {
		if n := metric(g, series) - before; n < 100_000 || n > 120_000 {
			t.Errorf("%s grew by %v, want somewhat more than 100,000", series, n)
		}
	}
	g.eventually("no stream waits", func() bool {
		return metric(g, "cowrelay_streams_queued") == 0 && metric(g, "cowrelay_streams_stalled") == 0
	})
	if made, gone := metric(g, "cowrelay_slots_allocated_total"), metric(g, "cowrelay_slots_removed_total"); made != 1 || gone != 0 {
		t.Errorf("%v slots made, %v removed", made, gone)
	}
	if n := metric(g, "cowrelay_slot_bytes_largest"); n < 100_000 || n != metric(g, "cowrelay_event_bytes") {
		t.Errorf("the largest slot holds %v", n)
	}
}

// A profile tells the routes apart.
func TestMetrics_ProfileLabels(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	m.longPoll("?wait=25")
	g.eventually("the poll waits", func() bool {
		var b strings.Builder
		pprof.Lookup("goroutine").WriteTo(&b, 1)
		return regexp.MustCompile(`labels: \{"method":"GET", "relay":"request", "route":"long_poll"\}`).MatchString(b.String())
	})
}
