package chaos

import (
	"strings"
	"testing"
	"time"
)

// TestRound_findsEachBreach runs rounds on small relays. The checker must find
// nothing when they keep the contract, and each breach of it.
func TestRound_findsEachBreach(t *testing.T) {
	usual := follow
	t.Cleanup(func() { follow = usual }) // the rounds run in parallel, after this function
	follow = 500 * time.Millisecond
	for breach, want := range map[string]string{
		"":                       "",
		"loses":                  "is lost",
		"doubles":                "stored twice|stands at",
		"reorders":               "stands before it|position",
		"differs":                "differ at position",
		"halves batches":         "half a batch",
		"stores what it refuses": "was refused, and stands",
		"reads late":             "not linearizable|had come to",
		"goes back":              "had come to",
		"forgets ids":            "shows",
		"has gaps":               "shows|next begins",
		"streams skip":           "a stream got",
		"streams repeat":         "a stream got",
		"two hold a nick":        "claims of",
		"denies handles":         "claims of",
		"uses do not count":      "uses of an invite",
		"tokens live on":         "was taken",
		"tokens unknown":         "was refused",
		"slots live on":          "was deleted",
	} {
		t.Run(strings.ReplaceAll(breach+"-", " ", "_"), func(t *testing.T) {
			t.Parallel()
			f := newFake(breach, 3)
			defer f.Close()
			cfg := Config{Faulty: 500 * time.Millisecond, Calm: time.Second, AtOnce: 1, Patience: time.Second}
			if breach == "tokens live on" {
				cfg.Calm = 2500 * time.Millisecond // it is dead on all relays only after a second
			}
			res, err := Round(t.Context(), f, 7, cfg, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			f.mu.Lock()
			broke := f.broke
			f.mu.Unlock()
			all := strings.Join(res.Violations, "\n")
			t.Logf("%s; %d breaches", res.Line(), broke)
			if breach == "" {
				if !res.OK() || len(res.Undecided) > 0 || res.Linear < 6 || res.Events < 100 || res.Moves < 5 {
					t.Errorf("relays that keep the contract: %s\n%s %v", res.Line(), all, res.Undecided)
				}
				return
			}
			if broke == 0 {
				t.Fatal("the relays kept the contract: this shows nothing")
			}
			found := false
			for _, w := range strings.Split(want, "|") {
				found = found || strings.Contains(all, w)
			}
			if !found {
				t.Errorf("want %q, got\n%s", want, all)
			}
		})
	}
}
