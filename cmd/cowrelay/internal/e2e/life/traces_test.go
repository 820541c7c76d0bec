package life

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector of traces. It keeps what it gets.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []*otlp.Span        // guarded by mu
	about  []*common.KeyValue  // guarded by mu: of the resource
	raw    []byte              // guarded by mu: all bodies
	header map[string][]string // guarded by mu: of the last request
}

func newReceiver(t *testing.T) *receiver {
	c := new(receiver)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body := io.Reader(req.Body)
		if req.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(req.Body)
		}
		data, err := io.ReadAll(body)
		var in collector.ExportTraceServiceRequest
		if err != nil || req.Method != "POST" || req.URL.Path != "/v1/traces" || req.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(data, &in) != nil {
			t.Errorf("%s %s %v: %v", req.Method, req.URL, req.Header, err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw, c.header = append(c.raw, data...), req.Header
		for _, of := range in.ResourceSpans {
			c.about = of.Resource.Attributes
			for _, scope := range of.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
		out, _ := proto.Marshal(new(collector.ExportTraceServiceResponse))
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Write(out)
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans of a trace.
func (c *receiver) of(trace string) (list []*otlp.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			list = append(list, s)
		}
	}
	return list
}

// attributes are a span's, or a resource's, as text.
func attributes(list []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range list {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			m[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			m[kv.Key] = fmt.Sprint(v.IntValue)
		}
	}
	return m
}

// traced sends a request with a traceparent, and fails unless the reply has the status.
func traced(t *testing.T, s relaytest.Slot, status int, method, url, parent, body string, more ...string) []byte {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(more); i += 2 {
		req.Header.Add(more[i], more[i+1])
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if parent != "" {
		req.Header.Add("traceparent", parent)
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	res, err := relaytest.HTTPClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("%s %s: %s %v %s", method, url, res.Status, err, data)
	}
	return data
}

// traceOf is the id of the n-th trace of a test, and parentOf a traceparent of it.
func traceOf(n int) string                { return fmt.Sprintf("%032x", 0xabc000+n) }
func parentOf(n int, flags string) string { return "00-" + traceOf(n) + "-00f067aa0ba902b7-" + flags }
func eventBody(id string) string          { return `{"event":{"event_id":"` + id + `"}}` }
func tracing(c *receiver, sample string) []string {
	return []string{"--otlp-endpoint=" + c.URL, "--trace-sample=" + sample, "--access-log", "--drain-delay=0s"}
}

// Requests whose parents are traced, and no others, come to the collector as spans with
// their parts. The last of them do so when the relay ends. Nothing in them can
// authenticate.
func TestTraces_ByParent(t *testing.T) {
	t.Parallel()
	c := newReceiver(t)
	dir := t.TempDir()
	r := relaytest.New(t, dir, tracing(c, "0")...)
	r.Cmd.Env = append(r.Cmd.Env, "OTEL_EXPORTER_OTLP_HEADERS=x-collector-key=opensesame", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
	r.Start()
	s := r.Allocate()
	events, slotID := r.EventsURL(s), s.ID
	post := func(parent, id string, status int, more ...string) {
		t.Helper()
		traced(t, s, status, "POST", events, parent, eventBody(id), more...)
	}
	post(parentOf(1, "01"), "a", 201, "tracestate", "vendor=1", "tracestate", "other=2", "X-Request-Id", "req-1")
	post(parentOf(2, "00"), "b", 201)
	post(strings.ToUpper(parentOf(3, "01")), "c", 201)
	post(parentOf(4, "01"), "d", 201, "traceparent", parentOf(5, "01"))
	post("", "e", 201)
	traced(t, s, 201, "POST", events, parentOf(6, "01"), "{\"event_id\":\"f\"}\n{\"event_id\":\"g\"}\n", "Content-Type", "application/x-ndjson")
	traced(t, s, 200, "GET", events+"?since=g&wait=1", parentOf(7, "01"), "")
	traced(t, relaytest.Slot{ID: s.ID, Token: s.Owner[1:] + "0"}, 403, "GET", events, parentOf(8, "01"), "")
	traced(t, relaytest.Slot{}, 404, "GET", r.URL+"/i/0123456789abcdef", parentOf(9, "01"), "")
	var ticket struct{ Token string }
	json.Unmarshal(traced(t, s, 201, "POST", r.URL+"/v1/slot/"+s.ID+"/tokens", parentOf(10, "01"), `{"may":["read"],"ttl_seconds":60}`), &ticket)
	traced(t, relaytest.Slot{}, 200, "GET", events+"?ticket="+ticket.Token, parentOf(11, "01"), "", "X-Request-Id", ticket.Token)
	r.Stop()

	r = relaytest.Start(t, dir, tracing(c, "0")...)
	traced(t, s, 200, "GET", r.EventsURL(s)+"?since=a", parentOf(12, "01"), "")
	traced(t, s, 200, "GET", r.EventsURL(s)+"?since=a", parentOf(13, "01"), "")
	line := r.AwaitLog("request")
	if line["trace_id"] != traceOf(12) || line["request_id"] == nil {
		t.Errorf("%v", line)
	}
	r.Stop()

	for n, want := range map[int]string{
		1: "events queue commit", 2: "", 3: "", 4: "", 5: "", 6: "events queue commit", 7: "events wait", 8: "events", 9: "invite",
		10: "tokens", 11: "events", 12: "events load", 13: "events",
	} {
		names := map[string]bool{}
		var root *otlp.Span
		list := c.of(traceOf(n))
		for _, s := range list {
			names[s.Name] = true
			if s.Kind == otlp.Span_SPAN_KIND_SERVER {
				root = s
			}
		}
		words := strings.Fields(want)
		if len(list) != len(words) {
			t.Errorf("trace %d: %d spans, %v, want %q", n, len(list), names, want)
			continue
		}
		for _, word := range words {
			if !names[word] {
				t.Errorf("trace %d: %v, want %q", n, names, want)
			}
		}
		if root == nil {
			if want != "" {
				t.Errorf("trace %d: no span of a server", n)
			}
			continue
		}
		if hex.EncodeToString(root.ParentSpanId) != "00f067aa0ba902b7" || root.Name != words[0] {
			t.Errorf("trace %d: %v", n, root)
		}
		for _, s := range list {
			if s == root {
				continue
			}
			const slack = uint64(time.Millisecond) // two clocks
			if !bytes.Equal(s.ParentSpanId, root.SpanId) || s.StartTimeUnixNano > s.EndTimeUnixNano || s.StartTimeUnixNano+slack < root.StartTimeUnixNano || s.EndTimeUnixNano > root.EndTimeUnixNano+slack {
				t.Errorf("trace %d: %v is no part of %v", n, s, root)
			}
		}
	}
	root := c.of(traceOf(1))
	for _, s := range root {
		if s.Name != "events" {
			continue
		}
		got := attributes(s.Attributes)
		for key, want := range map[string]string{
			"http.request.method": "POST", "http.route": "events", "http.response.status_code": "201", "cowrelay.slot.id": slotID, "cowrelay.request.id": "req-1",
		} {
			if got[key] != want {
				t.Errorf("%s: %q, want %q", key, got[key], want)
			}
		}
		if s.TraceState != "vendor=1,other=2" {
			t.Errorf("%v %q", got, s.TraceState)
		}
	}
	for _, refused := range c.of(traceOf(8)) {
		if got := attributes(refused.Attributes); got["http.response.status_code"] != "403" || refused.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR {
			t.Errorf("%v %v", got, refused.Status)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	about := attributes(c.about)
	if about["service.name"] != "cowrelay" || about["service.version"] == "" {
		t.Errorf("%v", about)
	}
	for _, secret := range []string{s.Token, s.Owner, s.Owner[1:], ticket.Token, "0123456789abcdef", "opensesame"} {
		if secret == "" || bytes.Contains(c.raw, []byte(secret)) {
			t.Errorf("the spans hold a secret: %q", secret)
		}
		if strings.Contains(r.Log.String(), secret) {
			t.Errorf("the log holds a secret: %q", secret)
		}
	}
}

// The ratio decides about requests without a parent. Each is a trace of its own.
func TestTraces_ByRatio(t *testing.T) {
	t.Parallel()
	c := newReceiver(t)
	r := relaytest.New(t, t.TempDir(), tracing(c, "1")...)
	r.Cmd.Env = append(r.Cmd.Env, "OTEL_EXPORTER_OTLP_HEADERS=x-collector-key=opensesame", "OTEL_SERVICE_NAME=mailboxes")
	r.Start()
	s := r.Allocate()
	for i := range 20 {
		r.Post(s, relaytest.Event("a", i, 100))
	}
	id := r.AwaitLog("request")["trace_id"].(string)
	r.Stop()
	if list := c.of(id); len(list) != 1 || list[0].Name != "allocate" || len(list[0].ParentSpanId) > 0 {
		t.Errorf("%v", list)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	traces := map[string]bool{}
	for _, s := range c.spans {
		traces[string(s.TraceId)] = true
	}
	if len(traces) != 21 || len(c.spans) != 21+2*20 {
		t.Errorf("%d traces, %d spans", len(traces), len(c.spans))
	}
	if got := c.header["X-Collector-Key"]; len(got) != 1 || got[0] != "opensesame" || attributes(c.about)["service.name"] != "mailboxes" {
		t.Errorf("%v %v", c.header, c.about)
	}
}

// Without the flag nothing is traced, whatever the environment and clients say, and
// nothing runs for it.
func TestTraces_Off(t *testing.T) {
	t.Parallel()
	c := newReceiver(t)
	r := relaytest.New(t, t.TempDir(), "--drain-delay=0s")
	r.Cmd.Env = append(r.Cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_TRACES_SAMPLER=always_on")
	r.Start()
	s := r.Allocate()
	traced(t, s, 201, "POST", r.EventsURL(s), parentOf(1, "01"), eventBody("a"))
	if text := goroutinesOf(t, r); !strings.Contains(text, `"relay":"serve"`) || strings.Contains(text, "traces") || strings.Contains(text, "opentelemetry") {
		t.Errorf("a goroutine of traces runs:\n%.2000s", text)
	}
	r.Stop()
	if c.mu.Lock(); len(c.raw) > 0 {
		t.Errorf("%d bytes came", len(c.raw))
	}
	c.mu.Unlock()
}

func goroutinesOf(t *testing.T, r *relaytest.Relay) string {
	t.Helper()
	return string(relaytest.Slot{}.MustSend(t, 200, "GET", r.AdminURL+"/debug/pprof/goroutine?debug=1", nil))
}

// A collector that is not there, or never answers, harms nobody: requests are answered,
// the spans that can't be sent are counted, and the end is in time.
func TestTraces_NoCollector(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for what, addr := range map[string]string{"closed": closed.Addr().String(), "mute": mute.Addr().String()} {
		r := relaytest.Start(t, t.TempDir(), "--otlp-endpoint=http://"+addr, "--trace-sample=1", "--drain-delay=0s")
		s := r.Allocate()
		for i := range 1000 {
			r.Post(s, relaytest.Event("a", i, 100))
		}
		if n := len(r.Pull(s, "")); n != 1000 {
			t.Errorf("%s: %d events", what, n)
		}
		if text := goroutinesOf(t, r); !strings.Contains(text, `"relay":"traces"`) {
			t.Errorf("%s: no goroutine has the label of traces:\n%.2000s", what, text)
		}
		if ended := r.Metric(`cowrelay_trace_spans_total{result="ended"}`); ended < 3000 {
			t.Errorf("%s: %v spans ended", what, ended)
		}
		if sent := r.Metric(`cowrelay_trace_spans_total{result="sent"}`); sent != 0 {
			t.Errorf("%s: %v spans sent", what, sent)
		}
		if what == "closed" {
			r.AwaitLog("traces can't be sent; the relay goes on without")
			if failed := r.Metric(`cowrelay_trace_spans_total{result="failed"}`); failed == 0 {
				t.Errorf("%s: no span failed", what)
			}
		}
		r.Stop()
		if r.Logged("stopped") == nil || r.Logged("the relay has not ended in time: ending at once") != nil {
			t.Errorf("%s: %s", what, r.Log.String())
		}
		if what == "mute" && r.Logged("the last traces were not sent in time") == nil {
			t.Errorf("%s: the log does not tell that spans were lost:\n%s", what, r.Log.String())
		}
	}
}
