package load

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestTrack(t *testing.T) {
	var shown []string
	tr := NewTrack(func(part float64, step string) { shown = append(shown, fmt.Sprintf("%.2f %s", part, step)) })
	tr.Step("filling")
	tr.Prepared(0.5)
	tr.Begin(10 * time.Second)
	tr.Step("round 1")
	tr.Add(time.Second)
	tr.Add(time.Second)
	if want := []string{"0.00 filling", "0.50 filling", "0.00 round 1", "0.10 round 1", "0.20 round 1"}; !slices.Equal(shown, want) {
		t.Errorf("shown %q, want %q", shown, want)
	}
	for _, silent := range []*Track{nil, NewTrack(nil)} {
		silent.Step("x")
		silent.Begin(time.Second)
		silent.Add(time.Second)
		silent.Prepared(1)
	}
}
