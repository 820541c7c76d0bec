package crash

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/card/cardtest"
)

// TestCrash_Claims lets two agents claim one nick at once, a thousand times, and
// kills the relay in the middle of some of these rounds. At most one of the two hears that it has the
// nick. Behind each crash the recorded holder is the one that was told so. Nobody
// else gets the nick later, and the total of first claims lost none that was
// answered.
func TestCrash_Claims(t *testing.T) {
	const rounds, least = 1000, 980 // least: that have a winner
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	slots := [2]relaytest.Slot{r.Allocate(), r.Allocate()}
	winners := map[string]string{} // DIDs by nick, as the relay answered
	var claimed []string
	for len(claimed) < rounds {
		var killed sync.WaitGroup
		begin, killAt := len(claimed), 50+rand.IntN(100)
		for n := range killAt + 1 {
			nick := fmt.Sprintf("n%d", len(claimed))
			claimed = append(claimed, nick)
			if n == killAt { // among the claims of this round
				killed.Go(func() {
					time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
					r.Kill()
				})
			}
			var status [2]int
			var dids [2]string
			var both sync.WaitGroup
			for i := range 2 {
				agent := cardtest.New(nick, i)
				dids[i] = agent.DID
				body := fmt.Appendf(nil, `{"nick":%q,"slot_id":%q,"card":%s}`, nick, slots[i].ID, agent.Card(`{}`))
				both.Go(func() {
					if res, _, err := slots[i].Send(http.DefaultClient, "POST", r.URL+"/v1/handle/claim", body); err == nil {
						status[i] = res.StatusCode
					}
				})
			}
			both.Wait()
			for i, s := range status {
				switch {
				case s == http.StatusCreated && winners[nick] != "":
					t.Fatalf("both have %s", nick)
				case s == http.StatusCreated:
					winners[nick] = dids[i]
				case s == 0 && n == killAt, s == http.StatusConflict:
				default:
					t.Fatalf("claim of %s: status %d", nick, s)
				}
			}
			if n < killAt && winners[nick] == "" {
				t.Fatalf("nobody has %s: %v", nick, status)
			}
		}
		killed.Wait()
		r = relaytest.Start(t, dir)
		for _, nick := range claimed[begin:] {
			holder := holderOf(t, r, nick)
			if won := winners[nick]; won != "" && holder != won {
				t.Fatalf("%s was given to %s, and %q has it behind the crash", nick, won, holder)
			}
			winners[nick] = holder
		}
	}
	told := 0
	for _, nick := range claimed {
		if holder := holderOf(t, r, nick); holder != winners[nick] {
			t.Fatalf("%s was of %q, and is of %q later", nick, winners[nick], holder)
		} else if holder != "" {
			told++
		}
	}
	var stats struct {
		Handles     int `json:"handles_active"`
		FirstClaims int `json:"handle_first_claims_total"`
	}
	if err := json.Unmarshal(relaytest.Slot{}.MustSend(t, 200, "GET", r.URL+"/stats.json", nil), &stats); err != nil {
		t.Fatal(err)
	}
	if stats.Handles != told || stats.FirstClaims != told || told < least {
		t.Fatalf("%d handles and %d first claims, want %d of each and at least %d", stats.Handles, stats.FirstClaims, told, least)
	}
	r.Stop()
}

// holderOf is the DID that has a nick, "" if nobody has.
func holderOf(t *testing.T, r *relaytest.Relay, nick string) string {
	t.Helper()
	res, body, err := relaytest.Slot{}.Send(http.DefaultClient, "GET", r.URL+"/.well-known/wire/agent?handle="+nick, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusNotFound {
		return ""
	}
	var who struct {
		DID string `json:"did"`
	}
	if err := json.Unmarshal(body, &who); err != nil || who.DID == "" {
		t.Fatalf("whois of %s: %d %s", nick, res.StatusCode, body)
	}
	return who.DID
}
