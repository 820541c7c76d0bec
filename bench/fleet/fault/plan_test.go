package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	targets := []Target{
		{"a", []Kind{{Name: "kill", Most: time.Second}, {Name: "pause", Most: 3 * time.Second}}},
		{"b", []Kind{{Name: "kill", Most: time.Second}}},
	}
	const d = 10 * time.Second
	seen := map[int]bool{}
	for seed := range uint64(200) {
		steps := Plan(rand.New(rand.NewPCG(seed, 0)), targets, d, 2, 1)
		if !slices.Equal(steps, Plan(rand.New(rand.NewPCG(seed, 0)), targets, d, 2, 1)) {
			t.Fatal("the same seed gives another plan")
		}
		if len(steps) == 0 {
			t.Error("no faults")
		}
		for i, s := range steps {
			seen[s.Target*10+s.Kind] = true
			if s.At < 0 || s.For <= 0 || s.At+s.For > d {
				t.Errorf("step %+v is not within %v", s, d)
			}
			if overlaps(steps[:i], s) {
				t.Errorf("two faults of one target: %+v", steps)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("kinds that came: %v", seen)
	}
	if Plan(rand.New(rand.NewPCG(1, 1)), nil, d, 2, 1) != nil {
		t.Error("faults of nothing")
	}
}

func TestRun_endsEachFault(t *testing.T) {
	var mu sync.Mutex
	var acts []string
	note := func(what string) func(context.Context) error {
		return func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			acts = append(acts, what)
			if what == "fail" {
				return errors.New("it failed")
			}
			return nil
		}
	}
	targets := []Target{{"a", []Kind{{"pause", time.Second, note("begin"), note("end")}, {"bad", time.Second, note("fail"), note("end of fail")}}}}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	err := Run(ctx, targets, []Step{{0, time.Hour, 0, 0}}, func(string) {})
	if err != nil || strings.Join(acts, " ") != "begin end" || time.Since(began) > 10*time.Second {
		t.Errorf("%v, %v", acts, err)
	}
	acts = nil
	err = Run(t.Context(), targets, []Step{{0, time.Millisecond, 0, 1}}, func(string) {})
	if err == nil || strings.Join(acts, " ") != "fail" {
		t.Errorf("%v, %v", acts, err)
	}
}
