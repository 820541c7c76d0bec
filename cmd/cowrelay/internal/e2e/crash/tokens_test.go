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
)

// madeToken is a further token as a client knows it.
type madeToken struct {
	Token string `json:"token"`
	ID    string `json:"token_id"`
	Slot  string `json:"slot_token"` // of a rotation

	revoking, revoked bool
}

// TestCrash_Tokens kills the relay while clients make tokens, take them back and
// rotate the slot token. Behind it what was answered holds: a token that was made is
// good, one that was taken back is not, the newest slot token is good, and none that
// was replaced is.
func TestCrash_Tokens(t *testing.T) {
	const rounds, actors = 8, 6
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	s := r.Allocate()
	client, closeClient := relaytest.NewClient()
	defer closeClient()
	owner := s.AsOwner()
	status := func(token string) int {
		res, body, err := relaytest.Slot{ID: s.ID, Token: token}.Send(client, "GET", r.EventsURL(s), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 && res.StatusCode != 403 {
			t.Fatalf("%s %s", res.Status, body)
		}
		return res.StatusCode
	}
	slots := []string{s.Token} // slot tokens that were answered, in their order
	for round := range rounds {
		var mu sync.Mutex // guards made and slots
		var made []*madeToken
		unsure := false // a rotation has no answer
		ask := func(method, path string, body string) (m madeToken, ok bool) {
			res, text, err := owner.Send(client, method, r.URL+"/v1/slot/"+s.ID+"/tokens"+path, []byte(body))
			if err != nil {
				return m, false
			}
			if res.StatusCode >= 300 && res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s %s: %s %s", method, path, res.Status, text)
			}
			if res.StatusCode < 300 && len(text) > 0 {
				if err := json.Unmarshal(text, &m); err != nil {
					return m, false
				}
			}
			return m, res.StatusCode < 300
		}
		var all sync.WaitGroup
		for range actors {
			all.Go(func() {
				for i := range 30 {
					m, ok := ask("POST", "", fmt.Sprintf(`{"may":["read"],"note":"%d"}`, i))
					if !ok {
						return
					}
					mu.Lock()
					made = append(made, &m)
					mu.Unlock()
					if i%2 == 0 {
						m.revoking = true
						if _, m.revoked = ask("DELETE", "/"+m.ID, ""); !m.revoked {
							return
						}
					}
				}
			})
		}
		all.Go(func() {
			for {
				m, ok := ask("POST", "/rotate", "{}")
				mu.Lock()
				if ok {
					slots = append(slots, m.Slot)
				}
				unsure = !ok
				mu.Unlock()
				if !ok {
					return
				}
			}
		})
		time.Sleep(time.Duration(2000+rand.IntN(60_000)) * time.Microsecond)
		r.Kill()
		all.Wait()
		r = relaytest.Start(t, dir)
		for i, m := range made {
			switch got := status(m.Token); {
			case m.revoked && got != 403:
				t.Errorf("round %d: token %d was taken back and is good", round, i)
			case !m.revoking && got != 200:
				t.Errorf("round %d: token %d was made and is not good", round, i)
			}
		}
		for i, token := range slots {
			newest := i == len(slots)-1
			switch got := status(token); {
			case !newest && got != 403:
				t.Errorf("round %d: slot token %d of %d was replaced and is good", round, i, len(slots))
			case newest && got != 200 && !unsure:
				t.Errorf("round %d: the newest slot token is not good", round)
			}
		}
		t.Logf("round %d: %d tokens, %d slot tokens", round, len(made), len(slots))
		// What the next round begins with: one slot token that is known, no token.
		var list struct{ Tokens []madeToken }
		if err := json.Unmarshal(owner.MustSend(t, 200, "GET", r.URL+"/v1/slot/"+s.ID+"/tokens", nil), &list); err != nil {
			t.Fatal(err)
		}
		for _, m := range list.Tokens {
			owner.MustSend(t, 204, "DELETE", r.URL+"/v1/slot/"+s.ID+"/tokens/"+m.ID, nil)
		}
		m, ok := ask("POST", "/rotate", "{}")
		if !ok {
			t.Fatal("no rotation behind a crash")
		}
		slots = []string{m.Slot}
	}
	owner.MustSend(t, 204, "DELETE", r.URL+"/v1/slot/"+s.ID, nil)
	r.Stop()
}
