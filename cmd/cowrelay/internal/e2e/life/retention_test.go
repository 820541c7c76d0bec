package life

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// shownRetention is the line of top.
var shownRetention = regexp.MustCompile(`(?m)^retention 0/s events left +0/s slots ended +[0-9.,]+ \w+ garbage`)

// Events leave by themselves: readers of what has left hear of it, positions go on over a
// restart, an id that left can be posted again, and the store is sound.
func TestRetention_EventsLeave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--event-ttl", "8s")
	slot := r.Allocate()
	for _, id := range []string{"a", "b", "c"} {
		r.Post(slot, []byte(`{"event_id":"`+id+`"}`))
	}
	head := func(path string) (http.Header, string) {
		t.Helper()
		res, body, err := slot.Send(http.DefaultClient, "GET", r.EventsURL(slot)+path, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v, %v", res, err)
		}
		return res.Header, string(body)
	}
	if h, _ := head("?from=0"); h.Get("Relay-Trimmed") != "" || h.Get("Relay-End") != "3" {
		t.Errorf("before anything has left: %v", h)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if h, body := head("?from=0"); h.Get("Relay-Trimmed") == "3" {
			if body != "[]" || h.Get("Relay-Next") != "3" {
				t.Errorf("a pull from what has left: %v %s", h, body)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing leaves")
		}
	}
	if h, _ := head("?since=a"); h.Get("Relay-Trimmed") != "3" {
		t.Errorf("a pull since what has left: %v", h)
	}
	if out, errs, code := relaytest.Command(t, nil, "top", "--every=100ms", "--admin="+r.AdminURL); code != 0 || !shownRetention.MatchString(out) {
		t.Errorf("top says %d: %s%s", code, out, errs)
	}
	r.Stop()
	r = relaytest.Start(t, dir)
	r.Post(slot, []byte(`{"event_id":"a","again":true}`))
	if h, body := head("?from=1"); body != `[{"event_id":"a","again":true}]` || h.Get("Relay-Trimmed") != "3" || h.Get("Relay-Next") != "4" {
		t.Errorf("after a restart: %v %s", h, body)
	}
	var state struct {
		Events int `json:"event_count"`
	}
	if err := json.Unmarshal(slot.MustSend(t, 200, "GET", r.URL+"/v1/slot/"+slot.ID+"/state", nil), &state); err != nil || state.Events != 1 {
		t.Errorf("state %+v, %v", state, err)
	}
	exports := func(args ...string) {
		t.Helper()
		out, errs, code := relaytest.Command(t, nil, append([]string{"export"}, args...)...)
		if want := `{"slot_id":"` + slot.ID + `","position":3,"event":{"event_id":"a","again":true}}` + "\n"; code != 0 || out != want {
			t.Errorf("export %q says %d, %s%s, want %s", args, code, out, errs, want)
		}
	}
	exports("--all", "--admin", r.AdminURL)
	exports("--slot", slot.ID, "--admin", r.AdminURL)
	if out, errs, code := relaytest.Command(t, nil, "admin", "slot", slot.ID, "--admin", r.AdminURL); code != 0 || !strings.Contains(out, `"events":1,"first":3,`) {
		t.Errorf("admin slot says %d: %s%s", code, out, errs)
	}
	r.Stop()
	if out, errs, code := relaytest.Command(t, nil, "verify", "--data-dir", dir); code != 0 {
		t.Errorf("verify says %d: %s%s", code, out, errs)
	}
	exports("--all", "--data-dir", dir)
}

// A slot that asks for it loses its events sooner, also over a restart, and the state tells
// what applies. Other slots keep theirs.
func TestRetention_OfOneSlot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--event-ttl", "2h")
	other := r.Allocate()
	r.Post(other, []byte(`{"event_id":"a"}`))
	out, errs, code := relaytest.Command(t, nil, "slot", "new", "--relay", r.URL, "--event-ttl", "3h", "--json")
	if code == 0 || !strings.Contains(string(errs), "from 60 to 7200") {
		t.Errorf("more than the operator allows: %d: %s%s", code, out, errs)
	}
	out, errs, code = relaytest.Command(t, nil, "slot", "new", "--relay", r.URL, "--ttl", "24h", "--event-ttl", "1m", "--json")
	var made struct {
		ID    string `json:"slot_id"`
		Token string `json:"slot_token"`
	}
	if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil {
		t.Fatalf("slot new says %d: %s%s", code, out, errs)
	}
	slot := relaytest.Slot{ID: made.ID, Token: made.Token}
	r.Post(slot, []byte(`{"event_id":"a"}`))
	r.Stop()
	r = relaytest.Start(t, dir, "--event-ttl", "2h")
	type state struct {
		Events   int `json:"event_count"`
		TTL      int `json:"ttl_seconds"`
		EventTTL int `json:"event_ttl_seconds"`
	}
	look := func(s relaytest.Slot) (st state) {
		t.Helper()
		if err := json.Unmarshal(s.MustSend(t, 200, "GET", r.URL+"/v1/slot/"+s.ID+"/state", nil), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		st := look(slot)
		if st.TTL != 86400 || st.EventTTL != 60 {
			t.Fatalf("the state is %+v", st)
		}
		if st.Events == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing leaves")
		}
	}
	if st := look(other); st != (state{1, 0, 7200}) {
		t.Errorf("the other slot: %+v", st)
	}
	r.Stop()
	if out, errs, code := relaytest.Command(t, nil, "verify", "--data-dir", dir); code != 0 {
		t.Errorf("verify says %d: %s%s", code, out, errs)
	}
}

// Ephemeral events leave from the front, others stay, and what would change nothing is
// refused.
func TestRetention_Ephemeral(t *testing.T) {
	r := relaytest.Start(t, t.TempDir(), "--ephemeral-ttl", "8s")
	slot := r.Allocate()
	for _, event := range []string{`{"kind":100}`, `{"kind":20001}`, `{"kind":1}`, `{"kind":100}`} {
		r.Post(slot, []byte(event))
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		res, body, err := slot.Send(http.DefaultClient, "GET", r.EventsURL(slot), nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v, %v", res, err)
		}
		if string(body) == `[{"kind":1},{"kind":100}]` {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the slot has %s", body)
		}
	}
	for _, args := range [][]string{{"--ephemeral-ttl=25h"}, {"--ephemeral-ttl=1s"}, {"--ephemeral-ttl=2h", "--event-ttl=2h"}} {
		if _, errs, code := relaytest.Command(t, nil, append([]string{"check-config"}, args...)...); code == 0 || !strings.Contains(errs, "--ephemeral-ttl") {
			t.Errorf("check-config %q says %d: %s", args, code, errs)
		}
	}
}
