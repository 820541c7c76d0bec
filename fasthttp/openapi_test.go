package fasthttp

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// Who has the description is told so.
func TestOpenAPI_ServedOnce(t *testing.T) {
	g := newRig(t)
	r := g.call("GET", "/openapi.yaml", "", nil).want(t, 200)
	tag := r.header.Get("ETag")
	if r.body != string(description) || r.header.Get("Content-Type") != "application/yaml" || tag == "" {
		t.Fatalf("%d bytes, %v", len(r.body), r.header)
	}
	for _, list := range []string{tag, "W/" + tag, `"x", ` + tag} {
		for _, method := range []string{"GET", "HEAD"} {
			r := g.call(method, "/openapi.yaml", "", nil, "If-None-Match", list).want(t, 304)
			if r.body != "" || r.header.Get("ETag") != tag {
				t.Errorf("%s with %s: %q, %v", method, list, r.body, r.header)
			}
		}
	}
	g.call("GET", "/openapi.yaml", "", nil, "If-None-Match", `"x"`).want(t, 200)
}

// The description is valid as such, its examples too.
func TestOpenAPI_Valid(t *testing.T) {
	t.Parallel()
	doc := described()
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("openapi: %s", doc.OpenAPI)
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: the operationId %q is empty or there twice", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
}

// Every route is described with its methods, and what is described is a route.
func TestOpenAPI_RoutesAreDescribed(t *testing.T) {
	doc := described()
	missing := map[string]bool{}
	for _, rt := range routes {
		missing[rt.name] = rt != routeNone
	}
	for template, item := range doc.Paths.Map() {
		path := template
		for _, p := range item.Parameters {
			if p.Value.In == openapi3.ParameterInPath {
				path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", p.Value.Example.(string))
			}
		}
		rt, _ := findRoute([]byte(path))
		if rt == routeNone {
			t.Errorf("%s is no route", template)
			continue
		}
		delete(missing, rt.name)
		var methods, bearer []string
		for method, op := range item.Operations() {
			methods = append(methods, method)
			if op.Security != nil {
				bearer = append(bearer, method)
			}
		}
		allowed := strings.Split(rt.allow, ", ")
		slices.Sort(methods)
		slices.Sort(allowed)
		if !slices.Equal(methods, allowed) {
			t.Errorf("%s: %v are described, %v are served", template, methods, allowed)
		}
		wants := rt.bearer || rt.anyBearer || rt == routeUnclaim // which looks for the handle first
		if wants && len(bearer) != len(methods) || !wants && len(bearer) > 0 {
			t.Errorf("%s: a bearer is described for %v; the route wants one: %v", template, bearer, wants)
		}
	}
	for name, is := range missing {
		if is {
			t.Errorf("the route %s is not described: add it to openapi.yaml", name)
		}
	}
}

// The check that all tests go through can say no.
func TestOpenAPI_CheckRefuses(t *testing.T) {
	const slot = "/v1/events/" + noSlot
	for _, row := range []struct {
		method, target, body string
		status               int
		header, reply, wrong string
	}{
		{"GET", "/healthz", "", 200, "Content-Type: text/plain\nContent-Length: 3", "ok\n", ""},
		{"GET", "/healthz", "", 200, "Content-Type: text/plain\nContent-Length: 3", "ko\n", "schema"},
		{"GET", "/healthz", "", 200, "Content-Type: text/plain", "ok\n", "no Content-Length"},
		{"GET", "/healthz", "", 200, "Content-Type: text/plain\nContent-Length: 3\nX-New: 1", "ok\n", "header X-New"},
		{"GET", "/healthz", "", 200, "Content-Type: application/json\nContent-Length: 2", "{}", "Content-Type"},
		{"GET", "/healthz", "", 418, "Content-Length: 2", "{}", "status"},
		{"GET", "/healthz", "", 503, "Content-Type: application/json\nContent-Length: 2", `{"error":"x"}`, "no Retry-After"},
		{"HEAD", "/stats.json", "", 200, "Content-Type: application/json\nContent-Length: 2", "", ""},
		{"HEAD", "/stats.json", "", 418, "Content-Type: application/json\nContent-Length: 2", "", "status"},
		{"GET", "/stats.json", "", 200, "Content-Type: application/json\nContent-Length: 2", `{"version":"x"}`, "schema"},
		{"GET", "/nope", "", 200, "Content-Type: application/json\nContent-Length: 2", `{}`, "path"},
		{"GET", "/nope", "", 404, "Content-Type: application/json\nContent-Length: 2", `{"eror":"x"}`, "schema"},
		{"PUT", "/healthz", "", 405, "Content-Type: application/json\nContent-Length: 2", `{"error":"x"}`, "no Allow"},
		{"PUT", "/healthz", "", 200, "Content-Type: application/json\nContent-Length: 2", `{}`, "method"},
		{"GET", slot + "?limit=7", "", 200, "Content-Type: application/json\nContent-Length: 2\nRelay-Next: 0\nRelay-End: 0", `[]`, ""},
		{"GET", slot + "?limit=-7", "", 200, "Content-Type: application/json\nContent-Length: 2\nRelay-Next: 0\nRelay-End: 0", `[]`, "limit"},
		{"GET", slot, "", 200, "Content-Type: application/json\nContent-Length: 2\nRelay-Next: 0\nRelay-End: 0", `[1]`, "schema"},
		{"GET", slot, "", 200, "Content-Type: application/json\nContent-Length: 2\nRelay-Next: 0", `[]`, "no Relay-End"},
		{"POST", slot, `{"event":{"a":1}}`, 201, "Content-Type: application/json\nContent-Length: 2", `{"event_id":null,"status":"stored"}`, ""},
		{"POST", slot, `{"event":1}`, 201, "Content-Type: application/json\nContent-Length: 2", `{"event_id":null,"status":"stored"}`, "served"},
		{"POST", slot, `{"event":{"a":1}}`, 201, "Content-Type: application/json\nContent-Length: 2", `{"event_id":null,"status":"stored","more":1}`, "schema"},
	} {
		req := httptest.NewRequest(row.method, row.target, nil)
		req.Header.Set("Authorization", "Bearer x")
		if row.body != "" {
			req.Header.Set("Content-Type", "application/json")
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(row.body)), nil }
		}
		res := &http.Response{StatusCode: row.status, Header: http.Header{}}
		for line := range strings.SplitSeq(row.header, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			res.Header.Set(name, value)
		}
		err := describedError(req, res, []byte(row.reply))
		if row.wrong == "" && err != nil || row.wrong != "" && (err == nil || !strings.Contains(err.Error(), row.wrong)) {
			t.Errorf("%s %s %s, %d %s: %v, want %q", row.method, row.target, row.body, row.status, row.reply, err, row.wrong)
		}
	}
	// Without a bearer nothing is served where one is described.
	req := httptest.NewRequest("GET", slot, nil)
	res := &http.Response{StatusCode: 200, Header: http.Header{
		"Content-Length": {"2"}, "Content-Type": {"application/json"}, "Relay-Next": {"0"}, "Relay-End": {"0"},
	}}
	if err := describedError(req, res, []byte("[]")); err == nil {
		t.Error("a page without a bearer passes")
	}
}
