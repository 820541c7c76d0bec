package fasthttp

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cowrelay/cow"
)

// lines returns the lines of a reply with status 200.
func (o *operator) lines(path string) []string {
	o.Helper()
	rec := o.ask("GET", path, "")
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/jsonl" || rec.Header().Get("Cache-Control") != "no-store" {
		o.Fatalf("GET %s: status %d, %v: %.200s", path, rec.Code, rec.Header(), rec.Body)
	}
	var list []string
	for line := range strings.Lines(rec.Body.String()) {
		list = append(list, strings.TrimSuffix(line, "\n"))
	}
	return list
}

func TestAdmin_Exports(t *testing.T) {
	g := newRig(t)
	o, m, empty := newOperator(g, true, ""), g.allocate(), g.allocate()
	m.fill(20)
	counts := map[string]int{}
	for _, line := range o.lines("/admin/v1/counts") {
		var v struct {
			ID     string `json:"slot_id"`
			Events int    `json:"events"`
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		counts[v.ID] = v.Events
	}
	if len(counts) != 2 || counts[m.id] != 20 || counts[empty.id] != 0 {
		t.Errorf("counts: %v", counts)
	}
	path := "/admin/v1/slots/" + m.id + "/events"
	for query, want := range map[string][2]int{
		"": {0, 20}, "?from=": {0, 20}, "?from=7": {7, 20}, "?from=7&to=9": {7, 9}, "?to=3": {0, 3}, "?from=19": {19, 20},
		"?from=20": {20, 20}, "?from=99": {20, 20}, "?to=99": {0, 20}, "?from=9&to=9": {20, 20}, "?from=9&to=8": {20, 20},
	} {
		got := o.lines(path + query)
		if len(got) != want[1]-want[0] {
			t.Fatalf("%s: %d events, want %v", query, len(got), want)
		}
		for i, line := range got {
			if line != eventN(want[0]+i) {
				t.Errorf("%s: line %d is %s", query, i, line)
			}
		}
	}
	if got := o.lines("/admin/v1/slots/" + empty.id + "/events"); got != nil {
		t.Errorf("an empty slot: %v", got)
	}
	for _, query := range []string{"?from=x", "?from=-1", "?to=1.5", "?to=18446744073709551615"} {
		o.must(400, "GET", path+query, "")
	}
	o.must(400, "GET", "/admin/v1/slots/x/events", "")
	o.must(404, "GET", "/admin/v1/slots/"+strings.Repeat("0", 32)+"/events", "")
	o.must(200, "POST", "/admin/v1/slots/"+m.id+"/block", "{}")
	if got := o.lines(path); len(got) != 20 {
		t.Errorf("a blocked slot: %d events", len(got))
	}
	none := strings.Repeat("0", 32)
	for of, want := range map[string][]string{
		m.id + "-2":                          {`{"slot_id":"` + m.id + `","events":2}`, eventN(0), eventN(1)},
		m.id + "-1," + empty.id + "-0":       {`{"slot_id":"` + m.id + `","events":1}`, eventN(0), `{"slot_id":"` + empty.id + `","events":0}`},
		none + "-1," + empty.id + "-1":       nil, // not there, and not so many
		m.id + "-21," + m.id + "-1":          {`{"slot_id":"` + m.id + `","events":1}`, eventN(0)},
		m.id + "-9223372036854775807":        nil,
		none + strings.Repeat(","+none, 999): nil,
	} {
		if strings.Count(of, none) == 1000 {
			of = strings.ReplaceAll(of, none, none+"-1")
		}
		if got := o.lines("/admin/v1/events?of=" + of); !slices.Equal(got, want) {
			t.Errorf("of=%.80s: %v, want %v", of, got, want)
		}
	}
	for _, of := range []string{"", "x", m.id, m.id + "-", m.id + "--1", m.id + "-1,", strings.Repeat(m.id+"-1,", 1000) + m.id + "-1"} {
		o.must(400, "GET", "/admin/v1/events?of="+of, "")
	}
	for _, p := range []string{path, "/admin/v1/counts", "/admin/v1/events?of=" + m.id + "-1"} {
		newOperator(g, false, "").must(403, "GET", p, "")
		newOperator(g, false, adminToken).must(401, "GET", p, "", "Authorization", "Bearer "+m.token)
		if rec := o.ask("POST", p, "{}"); rec.Code != 405 {
			t.Errorf("POST %s: %d", p, rec.Code)
		}
	}
}

// TestAdmin_ExportIsCut: what can't be given to its end does not look as if it
// were.
func TestAdmin_ExportIsCut(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	o, m := newOperator(g, true, ""), g.allocate()
	pad := strings.Repeat("x", 200_000)
	const events = 64 // more than sockets and a page hold
	for range events {
		m.post(`{"pad":"`+pad+`"}`).want(m, 201)
	}
	server := httptest.NewServer(o.admin)
	defer server.Close()
	// A receive buffer that is set does not grow.
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return c, err
	}}
	defer transport.CloseIdleConnections()
	get := func() *http.Response {
		res, err := (&http.Client{Transport: transport}).Get(server.URL + "/admin/v1/slots/" + m.id + "/events")
		if err != nil || res.StatusCode != 200 {
			t.Fatal(err, res)
		}
		return res
	}
	res := get()
	if body, err := io.ReadAll(res.Body); err != nil || len(body) != events*(len(`{"pad":""}`)+len(pad)+1) {
		t.Errorf("all of it: %d bytes, %v", len(body), err)
	}
	res.Body.Close()

	res = get()
	defer res.Body.Close()
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || len(line) < len(pad) {
		t.Fatal(len(line), err)
	}
	id, _ := cow.ParseID(m.id)
	if err := g.store.Remove(g.store.Slot(id)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != io.ErrUnexpectedEOF {
		t.Errorf("removed meanwhile: %v, want a cut", err)
	}
}

// Positions go on when events have left, and an export says where it begins.
func TestAdmin_ExportBehindTrim(t *testing.T) {
	g := newRig(t)
	o, m := newOperator(g, true, ""), g.allocate()
	m.fill(20)
	id, _ := cow.ParseID(m.id)
	if _, _, err := g.store.Trim(g.store.Slot(id), 5); err != nil {
		t.Fatal(err)
	}
	path := "/admin/v1/slots/" + m.id + "/events"
	for query, want := range map[string][2]int{"": {5, 20}, "?from=2": {5, 20}, "?from=7&to=9": {7, 9}, "?from=0&to=3": {5, 5}, "?from=99": {20, 20}} {
		got := o.lines(path + query)
		if len(got) != want[1]-want[0] {
			t.Fatalf("%s: %d events, want %v", query, len(got), want)
		}
		for i, line := range got {
			if line != eventN(want[0]+i) {
				t.Errorf("%s: line %d is %s", query, i, line)
			}
		}
		if first := o.ask("GET", path+query, "").Header().Get("Relay-First"); first != strconv.Itoa(want[0]) {
			t.Errorf("%s: Relay-First is %s, want %d", query, first, want[0])
		}
	}
	count := `{"slot_id":"` + m.id + `","events":15,"first":5}`
	if got := o.lines("/admin/v1/counts"); !slices.Equal(got, []string{count}) {
		t.Errorf("counts: %v", got)
	}
	if got := o.lines("/admin/v1/events?of=" + m.id + "-15"); len(got) != 16 || got[0] != count || got[1] != eventN(5) {
		t.Errorf("of small slots: %v", got)
	}
}
