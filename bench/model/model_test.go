package model

import (
	"math"
	"strings"
	"testing"
)

func TestCells(t *testing.T) {
	in := Defaults()
	if err := in.Check(); err != nil {
		t.Fatal(err)
	}
	cells := in.Cells()
	if len(cells) != len(in.Sizes) {
		t.Fatalf("%d cells", len(cells))
	}
	for i, c := range cells {
		if got := c.Cells * c.Slots; math.Abs(got-in.Slots) > 1 {
			t.Errorf("%.0f slots in all", got)
		}
		if c.Uses[0].Share < c.Uses[1].Share || math.Abs(c.Growth*c.Uses[0].Share-in.Full) > 1e-9 {
			t.Errorf("the fullest is %v, growth %v", c.Uses, c.Growth)
		}
		// A larger cell stores more on each relay: each stores all of it.
		if i > 0 && (c.Memory <= cells[i-1].Memory || c.Disk <= cells[i-1].Disk || c.Growth >= cells[i-1].Growth) {
			t.Errorf("cells of %.0f relays do not cost more a relay than those of %.0f", c.Relays, cells[i-1].Relays)
		}
	}
	// By hand: 500 cells of 2 relays have 2 M slots each, with 20 events a day.
	if c := cells[0]; c.Cells != 500 || c.Slots != 2e6 || math.Abs(c.Posts-2e6*20/86400*3) > 1e-6 || c.Disk != 2e6*20*14*552 {
		t.Errorf("cells of 2: %+v", c)
	}
	if text := Table(cells); strings.Count(text, "\n") != len(cells)+2 || !strings.Contains(text, "does not fit") {
		t.Errorf("table:\n%s", text)
	}
}

func TestCells_whatIsScarceBreaksFirst(t *testing.T) {
	for name, make := range map[string]func(*Inputs){
		"memory of a relay":  func(in *Inputs) { in.Memory /= 1e4 },
		"disk of a relay":    func(in *Inputs) { in.Disk /= 1e4 },
		"posts into the log": func(in *Inputs) { in.LogRate /= 1e4 },
		"replay of a relay":  func(in *Inputs) { in.ReplayRate /= 1e5 },
		"pulls of a relay":   func(in *Inputs) { in.PullRate /= 1e5 },
		"disk of a server":   func(in *Inputs) { in.ServerDisk /= 1e4 },
	} {
		in := Defaults()
		make(&in)
		for _, c := range in.Cells() {
			if c.Uses[0].Name != name {
				t.Errorf("%s is scarce, and %s breaks first", name, c.Uses[0].Name)
			}
			if name == "replay of a relay" && !math.IsInf(c.Join, 1) {
				t.Error("a relay joins a log that it can't follow")
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, make := range []func(*Inputs){
		func(in *Inputs) { in.Slots = 0 },
		func(in *Inputs) { in.Posts = -1 },
		func(in *Inputs) { in.Online = 1.1 },
		func(in *Inputs) { in.Sizes = nil },
		func(in *Inputs) { in.Sizes = []int{1} },
		func(in *Inputs) { in.Sizes = []int{2000} },
		func(in *Inputs) { in.Net = math.NaN() },
	} {
		in := Defaults()
		make(&in)
		if in.Check() == nil {
			t.Errorf("%+v: no error", in)
		}
	}
}
