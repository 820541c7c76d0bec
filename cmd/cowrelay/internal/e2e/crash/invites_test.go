package crash

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// TestCrash_Invites lets 50 clients fetch an invite that may be used once. One gets
// the script and 49 hear that it is used up. In every second round the relay is
// killed meanwhile. Then at most one client has the script, counted over both lives,
// and the next one hears that the invite is used up.
func TestCrash_Invites(t *testing.T) {
	const rounds, clients = 12, 50
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	client, closeClient := relaytest.NewClient()
	defer closeClient()
	fetch := func(path string) int {
		res, body, err := relaytest.Slot{}.Send(client, "GET", r.URL+path, nil)
		if err != nil {
			return 0
		}
		if res.StatusCode == http.StatusOK && !strings.HasSuffix(string(body), "wire accept-invite 'wire://pair?v=1'\n") {
			t.Errorf("the script is %q", body)
		}
		return res.StatusCode
	}
	for round := range rounds {
		var invite struct{ Path string }
		reply := relaytest.Slot{}.MustSend(t, 201, "POST", r.URL+"/v1/invite/register", []byte(`{"invite_url":"wire://pair?v=1","uses":1}`))
		if err := json.Unmarshal(reply, &invite); err != nil {
			t.Fatal(err)
		}
		kill := round%2 == 1
		var given, gone, none atomic.Int64
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				switch status := fetch(invite.Path); status {
				case http.StatusOK:
					given.Add(1)
				case http.StatusGone:
					gone.Add(1)
				case 0:
					none.Add(1)
				default:
					t.Errorf("round %d: status %d", round, status)
				}
			})
		}
		if kill {
			time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
			r.Kill()
		}
		all.Wait()
		if kill {
			r = relaytest.Start(t, dir)
			if fetch(invite.Path) == http.StatusOK {
				given.Add(1)
			}
		} else if none.Load() != 0 || given.Load() != 1 || gone.Load() != clients-1 {
			t.Fatalf("round %d: %d scripts, %d used up, %d without an answer", round, given.Load(), gone.Load(), none.Load())
		}
		if given.Load() > 1 {
			t.Fatalf("round %d: %d scripts of an invite for one", round, given.Load())
		}
		if status := fetch(invite.Path); status != http.StatusGone {
			t.Fatalf("round %d: status %d behind it, want 410", round, status)
		}
	}
	r.Stop()
}
