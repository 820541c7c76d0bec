//go:build real

package outside

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// TestReal_TicketOverKill: a page of another origin reads a slot with a plain
// EventSource and a ticket. The relay is killed and started again meanwhile. The page
// gets every event once, in order, and the ticket stands in no log.
func TestReal_TicketOverKill(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><title>another origin</title>"))
	}))
	defer page.Close()
	dir := t.TempDir()
	args := []string{"--cors-origins=" + page.URL, "--log-level=debug", "--access-log=true"}
	r := relaytest.Start(t, dir, args...)
	s := r.Allocate()
	var ticket struct{ Token string }
	made := s.MustSend(t, 201, "POST", r.URL+"/v1/slot/"+s.ID+"/tokens", []byte(`{"may":["read"],"ttl_seconds":600}`))
	if err := json.Unmarshal(made, &ticket); err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t)
	b.open(page.URL)
	eval[bool](b, fmt.Sprintf(`(() => {
		window.got = [];
		window.opened = 0;
		window.source = new EventSource(%q);
		source.onopen = () => opened++;
		source.onmessage = (event) => got.push(event.lastEventId);
		return true;
	})()`, r.EventsURL(s)+"/stream?from=0&ids=position&ticket="+ticket.Token))
	const before, after = 200, 200
	for i := range before {
		r.Post(s, relaytest.Event("e", i, 300))
	}
	b.until(fmt.Sprintf(`got.length >= %d`, before/2))
	r.Kill()
	address, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	log := r.Log.String()
	again := relaytest.New(t, dir, append(args, "--bind="+address.Host)...).Start()
	for i := range after {
		again.Post(s, relaytest.Event("e", before+i, 300))
	}
	b.until(fmt.Sprintf(`got.length >= %d || source.readyState === EventSource.CLOSED`, before+after))
	time.Sleep(100 * time.Millisecond) // what would come twice comes now
	got := eval[[]string](b, `got`)
	for i := range max(len(got), before+after) {
		if i >= len(got) || i >= before+after || got[i] != fmt.Sprint(i) {
			t.Fatalf("event %d of %d is %q", i, len(got), got[min(i, len(got)-1)])
		}
	}
	if n := eval[int](b, `opened`); n < 2 {
		t.Errorf("the page has opened %d streams", n)
	}
	// Taken back, the ticket ends the page's stream for good.
	for _, m := range tokensOf(t, again, s) {
		s.AsOwner().MustSend(t, 204, "DELETE", again.URL+"/v1/slot/"+s.ID+"/tokens/"+m, nil)
	}
	b.until(`source.readyState === EventSource.CLOSED`)
	again.Stop()
	for _, text := range []string{log, again.Log.String()} {
		if strings.Contains(text, ticket.Token[:16]) || strings.Contains(text, s.Token[:16]) || !strings.Contains(text, s.ID) {
			t.Error("a ticket or token is in the log, or the log has no requests")
		}
	}
}

// tokensOf returns the ids of a slot's further tokens.
func tokensOf(t *testing.T, r *relaytest.Relay, s relaytest.Slot) (ids []string) {
	var list struct {
		Tokens []struct {
			ID string `json:"token_id"`
		}
	}
	if err := json.Unmarshal(s.AsOwner().MustSend(t, 200, "GET", r.URL+"/v1/slot/"+s.ID+"/tokens", nil), &list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Tokens {
		ids = append(ids, m.ID)
	}
	return ids
}
