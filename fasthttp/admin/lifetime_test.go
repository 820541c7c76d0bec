package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/retention"
)

// What a slot asks for counts where it is less than what the operator says. What has no
// bound is null.
func TestAdmin_Lifetime(t *testing.T) {
	const off = `"ttl":null,"unused_ttl":null,"event_ttl":null,"ephemeral_ttl":null,"event_keep":null,"ends_unix":null,"ends_as":null`
	for what, c := range map[string]struct {
		policy retention.Policy
		own    cow.Lifetime
		pulled bool
		want   string // without the end
		ends   time.Duration
		as     string
	}{
		"off":       {want: off},
		"operator":  {policy: retention.Policy{IdleSlot: 3 * time.Hour, UnusedSlot: 2 * time.Hour, Event: time.Hour, Ephemeral: time.Minute, KeepEvents: 9}, want: `"ttl":{"seconds":10800,"by":"operator"},"unused_ttl":{"seconds":7200,"by":"operator"},"event_ttl":{"seconds":3600,"by":"operator"},"ephemeral_ttl":{"seconds":60,"by":"operator"},"event_keep":{"events":9}`, ends: 2 * time.Hour, as: "unused"},
		"pulled":    {policy: retention.Policy{UnusedSlot: 2 * time.Hour}, pulled: true, want: off},
		"own":       {policy: retention.Policy{KeepBytes: 99}, own: cow.Lifetime{Slot: time.Hour, Event: time.Minute}, want: `"ttl":{"seconds":3600,"by":"slot"},"unused_ttl":null,"event_ttl":{"seconds":60,"by":"slot"},"ephemeral_ttl":null,"event_keep":{"bytes":99}`, ends: time.Hour, as: "idle"},
		"less, now": {policy: retention.Policy{IdleSlot: time.Hour, Event: time.Minute}, own: cow.Lifetime{Slot: 2 * time.Hour, Event: time.Hour}, want: `"ttl":{"seconds":3600,"by":"operator"},"unused_ttl":null,"event_ttl":{"seconds":60,"by":"operator"},"ephemeral_ttl":null,"event_keep":null`, ends: time.Hour, as: "idle"},
	} {
		t.Run(what, func(t *testing.T) {
			g := newRig(t)
			_, addr := g.serve(Options{Token: adminToken, Policy: c.policy})
			began := time.Now()
			id, _, _, err := g.store.AllocateFor(c.own)
			if err != nil {
				t.Fatal(err)
			}
			if c.pulled {
				g.store.Slot(id).MarkPulled(time.Now())
			}
			req, _ := http.NewRequest("GET", "http://"+addr+"/admin/v1/slots/"+id.String(), nil)
			req.Header.Set("Authorization", "Bearer "+adminToken)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			var told struct{ Lifetime json.RawMessage }
			if err := json.Unmarshal(body, &told); err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s, %v: %s", res.Status, err, body)
			}
			var end struct {
				At *int64  `json:"ends_unix"`
				As *string `json:"ends_as"`
			}
			if err := json.Unmarshal(told.Lifetime, &end); err != nil {
				t.Fatal(err)
			}
			want := "{" + c.want + "}"
			if c.as != "" {
				if end.At == nil || *end.At < began.Add(c.ends).Unix() || *end.At > time.Now().Add(c.ends).Unix() || end.As == nil || *end.As != c.as {
					t.Fatalf("it ends wrongly: %s", body)
				}
				at, _ := json.Marshal(end)
				want = "{" + c.want + "," + string(at[1:])
			}
			if string(told.Lifetime) != want || err != nil {
				t.Errorf("it tells %s, %v\nwant     %s", told.Lifetime, err, want)
			}
		})
	}
}
