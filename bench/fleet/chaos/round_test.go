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
		"old tokens live on":     "was taken",
		"new tokens unknown":     "was refused",
		"slots live on":          "was deleted",
		"blocks do not hold":     "was blocked",
		"blocks stay":            "was lifted",
		"health stays":           "shows an older one",
		"sides miss each other":  "different pairs",
		"a side comes twice":     "came twice",
		"sides see nothing":      "does not see",
		"counts too little":      "the total of events",
		"counts differ":          "different sums",
		"takes too much":         "that stay",
		"hides what left":        "a page that must begin",
	} {
		t.Run(strings.ReplaceAll(breach+"-", " ", "_"), func(t *testing.T) {
			t.Parallel()
			if breach == "" {
				res := fakeRound(t, breach, 7)
				if res.Left == 0 {
					t.Error("no event has left")
				}
				if !res.OK() || len(res.Undecided) > 0 || res.Linear < 6 || res.Events < 100 || res.Moves < 5 {
					t.Errorf("relays that keep the contract: %s\n%q %q", res.Line(), res.Violations, res.Undecided)
				}
				return
			}
			// A round may be over before a breach shows, and on a busy machine most are.
			for seed := range uint64(30) {
				all := strings.Join(fakeRound(t, breach, seed).Violations, "\n")
				for w := range strings.SplitSeq(want, "|") {
					if strings.Contains(all, w) {
						return
					}
				}
				t.Logf("seed %d: want %q, got\n%s", seed, want, all)
			}
			t.Error("the checker did not find it")
		})
	}
}

// fakeRound plays a round on small relays.
func fakeRound(t *testing.T, breach string, seed uint64) *Result {
	t.Helper()
	f := newFake(breach, 3)
	defer f.Close()
	cfg := Config{Faulty: 500 * time.Millisecond, Calm: time.Second, AtOnce: 1, Patience: time.Second}
	switch breach {
	case "", "takes too much", "hides what left":
		f.keep = 32 << 10
		cfg.Keep = int64(f.keep)
		cfg.Calm = 2500 * time.Millisecond // until events have left
	case "tokens live on", "old tokens live on", "blocks do not hold", "blocks stay", "health stays", "sides see nothing":
		cfg.Calm = 2500 * time.Millisecond // all relays know of it only after a second
	}
	res, err := Round(t.Context(), f, seed, cfg, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t.Logf("%s; %d breaches", res.Line(), f.broke)
	return res
}
