package admin

import (
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cowrelay/fasthttp/stats"
)

// A scraper that takes gzip gets it, and nobody else does.
func TestMetrics_Gzip(t *testing.T) {
	g := newRig(t)
	s := New(true, Options{Logger: slog.New(slog.NewTextHandler(&g.log, nil))})
	s.Attach(g, g.store)
	for accept, zipped := range map[string]bool{
		"": false, "gzip": true, "deflate, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0, br": false, "identity": false, "gzipped": false,
	} {
		req := httptest.NewRequest("GET", "/metrics", nil)
		if accept != "" {
			req.Header.Set("Accept-Encoding", accept)
		}
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, req)
		var body io.Reader = rec.Body
		if got := rec.Header().Get("Content-Encoding") == "gzip"; got != zipped {
			t.Errorf("%q: in gzip: %v", accept, got)
		} else if got {
			z, err := gzip.NewReader(rec.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		}
		text, err := io.ReadAll(body)
		if err != nil || !strings.Contains(string(text), "# TYPE cowrelay_memory_bytes gauge\n") || !strings.Contains(string(text), "process_open_fds") {
			t.Errorf("%q: %d bytes, %v", accept, len(text), err)
		}
	}
}

// Requests that need a right are counted by what became of them.
func TestMetrics_AdminRequests(t *testing.T) {
	g := newRig(t)
	s := New(true, Options{Token: adminToken, Logger: slog.New(slog.NewTextHandler(&g.log, nil))})
	s.Attach(g, g.store)
	ask := func(path, token string, want int) {
		t.Helper()
		req := httptest.NewRequest("GET", path, nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		rec := httptest.NewRecorder()
		if s.ServeHTTP(rec, req); rec.Code != want {
			t.Errorf("%s: %d, want %d", path, rec.Code, want)
		}
	}
	ask("/admin/v1/status", adminToken, http.StatusOK)
	ask("/admin/v1/slots", adminToken, http.StatusOK)
	ask("/admin/v1/slots/0123456789abcdef0123456789abcdef", adminToken, http.StatusNotFound)
	ask("/admin/v1/status", "", http.StatusUnauthorized)
	ask("/metrics", "", http.StatusOK) // needs none
	got := map[string]uint64{}
	g.operators.Requests(func(outcome string, n uint64) { got[outcome] = n })
	if got["done"] != 2 || got["failed"] != 1 || got["refused"] != 1 {
		t.Errorf("%v", got)
	}
	stats.NoOperators.Requests(func(outcome string, n uint64) {
		if _, known := got[outcome]; !known || n != 0 {
			t.Errorf("without a listener: %s %d", outcome, n)
		}
	})
}
