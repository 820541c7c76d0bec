package serve

import (
	"testing"

	"cowrelay/cmd/cowrelay/internal/plan"
	"cowrelay/cow/natslog"
)

// The smallest budget leaves the shared log what it takes to work.
func TestMemory_OfTheSharedLog(t *testing.T) {
	m := plan.SplitBudget(plan.MinBudget, 0, true)
	if logMemory(m) < natslog.MinMemory {
		t.Errorf("%d bytes of %d", logMemory(m), natslog.MinMemory)
	}
}
