package attack

import (
	"errors"
	"strings"
	"testing"

	"cowrelay/bench/attack/honest"
)

// A result passes if every bar holds, and says which does not.
func TestResult(t *testing.T) {
	r := Result{Drill: "d", Variant: "v", Limits: "l", Before: &honest.Figures{}, During: &honest.Figures{}, Ratio: 2}
	r.bar("one", nil, "seen")
	if !r.Passed() || !strings.HasPrefix(r.Text(), "pass: d (v; l)\n") {
		t.Error(r.Text())
	}
	r.bar("two", errors.New("not so"), "seen")
	if r.Passed() || !strings.HasPrefix(r.Text(), "FAIL: d (v; l)\n") || !strings.Contains(r.Text(), "  FAIL    two: not so") {
		t.Error(r.Text())
	}
}
