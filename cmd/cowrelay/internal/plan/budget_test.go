package plan

import "testing"

// All parts together are the budget, and none is too small to work with.
func TestSplitBudget(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for _, requests := range []int64{0, 10 << 20} {
			for budget := int64(MinBudget); budget < 1<<40; budget *= 3 {
				s := SplitBudget(budget, requests, shared)
				if s.Slots+s.Cache+3*s.MemTable+s.Backlog+s.Log+s.Requests != budget || s.Slots < budget/8 || s.Requests < MinRequests ||
					shared != (s.Log >= 4<<20) || s.Log > budget/8 && s.Log > 4<<20 {
					t.Errorf("%d: %+v", budget, s)
				}
			}
		}
	}
}

// On a machine of 512 MB with 19,000 connections, what is on its way to and from the
// servers of a fleet stays within 22 MB.
func TestSplitBudget_SmallMachineInAFleet(t *testing.T) {
	s := SplitBudget(ShareMemory(512e6, 19_000, 0).Budget, 0, true)
	if s.Log < 20e6 || s.Log > 23e6 || s.Slots < 60e6 {
		t.Errorf("%+v", s)
	}
}
