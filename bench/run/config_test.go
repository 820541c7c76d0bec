package run

import (
	"strings"
	"testing"
)

func TestConfig_validateGrowth(t *testing.T) {
	c := Defaults()
	c.GrowthLengths, c.GrowthEvents, c.GrowthStreams, c.GrowthSlots, c.RestartSlots, c.RestartBytes = []int{5}, -1, []int{300}, []int{10, 10}, 0, 0
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"growth-lengths 5", "growth-events -1", "growth-streams 300", "growth-slots 10", "restart-slots 0", "restart-bytes 0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q\nlacks %q", err, want)
		}
	}
}

func TestConfig_validateListsAll(t *testing.T) {
	c := Defaults()
	c.Rounds, c.Page, c.Target, c.Conns = 0, 5000, "https://x", []int{0}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"rounds 0", "page 5000", `target "https://x"`, "conns 0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q\nlacks %q", err, want)
		}
	}
}
