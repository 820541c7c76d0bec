package plan

import "testing"

// All parts together are the budget, and none is too small to work with.
func TestSplitBudget(t *testing.T) {
	for _, requests := range []int64{0, 10 << 20} {
		for budget := int64(MinBudget); budget < 1<<40; budget *= 3 {
			s := SplitBudget(budget, requests)
			if s.Slots+s.Cache+3*s.MemTable+s.Backlog+s.Requests != budget || s.Slots < budget/8 || s.Requests < MinRequests {
				t.Errorf("%d: %+v", budget, s)
			}
		}
	}
}
