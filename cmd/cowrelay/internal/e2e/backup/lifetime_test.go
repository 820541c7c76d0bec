package backup

import (
	"encoding/json"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// A slot has its lifetime also in a relay that a backup was restored to.
func TestBackup_KeepsLifetimes(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	out, _ := run(t, 0, "slot", "new", "--relay", r.URL, "--ttl", "48h", "--event-ttl", "3h", "--json")
	var v struct {
		ID    string `json:"slot_id"`
		Token string `json:"slot_token"`
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	slot := relaytest.Slot{ID: v.ID, Token: v.Token}
	r.Post(slot, []byte(`{"event_id":"a"}`))
	m := back(t, r, t.TempDir(), "--verify")
	r.Stop()
	a := restored(t, m.Backup)
	state := string(slot.MustSend(t, 200, "GET", a.URL+"/v1/slot/"+slot.ID+"/state", nil))
	if !strings.Contains(state, `"event_count":1,`) || !strings.Contains(state, `"ttl_seconds":172800,"event_ttl_seconds":10800}`) {
		t.Errorf("the state is %s", state)
	}
	a.Stop()
}
