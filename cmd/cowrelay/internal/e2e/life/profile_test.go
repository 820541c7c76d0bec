package life

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// The two profiles that the Go runtime leaves off are on when they were asked
// for, and only then.
func TestProfile_Rates(t *testing.T) {
	for _, c := range []struct {
		args    []string
		mutex   string
		blocked bool
	}{
		{nil, "sampling period=0\n", false},
		{[]string{"--mutex-profile-fraction=3", "--block-profile-rate=1"}, "sampling period=3\n", true},
	} {
		r := relaytest.Start(t, t.TempDir(), c.args...)
		r.Allocate() // waits for the commit loop
		if got := profileText(t, r, "mutex"); !strings.Contains(got, c.mutex) {
			t.Errorf("%q: the mutex profile lacks %q:\n%.300s", c.args, c.mutex, got)
		}
		if got := profileText(t, r, "block"); strings.Contains(got, " @ 0x") != c.blocked {
			t.Errorf("%q: samples in the block profile: want %v\n%.300s", c.args, c.blocked, got)
		}
		r.Kill()
	}
}

func profileText(t *testing.T, r *relaytest.Relay, name string) string {
	t.Helper()
	res, err := http.Get(r.AdminURL + "/debug/pprof/" + name + "?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, error %v", name, res.StatusCode, err)
	}
	return string(b)
}
