package plan

import "testing"

// All parts together are the limit, whatever it is, and each is of a size to work
// with.
func TestShareMemory_Shares(t *testing.T) {
	for limit := int64(128 << 20); limit < 1<<40; limit = limit*5/4 + 12345 {
		for _, conns := range []int{1, 100, 5000, 18_800, 60_000, 1_000_000} {
			m := ShareMemory(limit, conns, 0)
			if sum := m.Runtime + m.Kernel + m.Files + m.Spare; sum != limit {
				t.Errorf("%d bytes, %d connections: the parts are %d: %+v", limit, conns, sum, m)
			}
			if m.Kernel > limit/4 || m.Spare < limit/10 || m.Files < 8<<20 || m.Runtime < limit/2 {
				t.Errorf("%d bytes, %d connections: %+v", limit, conns, m)
			}
			own := min(int64(conns)*ownPerConn, m.Runtime/4)
			if m.Budget < MinBudget || m.Budget > MinBudget && m.Budget+own > m.Runtime*3/4 {
				t.Errorf("%d bytes, %d connections: no room for garbage: %+v", limit, conns, m)
			}
		}
	}
}

// A small machine at the limit of open files: with all of the runtime's memory in
// use, with the kernel's for every connection and the files that are wanted, a tenth
// is left.
func TestShareMemory_SmallMachine(t *testing.T) {
	const limit, streams = 512_000_000, 19_000
	m := ShareMemory(limit, streams, 0)
	if most := m.Runtime + streams*4100 + m.Files; most > 460_000_000 {
		t.Errorf("%d bytes may be in use: %+v", most, m)
	}
	if m.Budget < 160<<20 {
		t.Errorf("the budget is small: %+v", m)
	}
}

// What the operator says is kept, and the runtime is never given less than it.
func TestShareMemory_OperatorsBudget(t *testing.T) {
	const limit = 512_000_000
	for budget := int64(MinBudget); budget < limit; budget += 7 << 20 {
		m := ShareMemory(limit, 19_000, budget)
		if m.Budget != budget || m.Runtime < min(budget/4*5, limit/10*9) || m.Runtime > limit/10*9 {
			t.Errorf("%d: %+v", budget, m)
		}
	}
	if m := GivenMemory(400<<20, 0); m.Runtime != 400<<20 || m.Budget != 251658240 {
		t.Errorf("with GOMEMLIMIT: %+v", m)
	}
	if m := GivenMemory(10<<20, 0); m.Budget != MinBudget {
		t.Errorf("with a small GOMEMLIMIT: %+v", m)
	}
	if m := GivenMemory(400<<20, 40<<20); m.Budget != 40<<20 {
		t.Errorf("with GOMEMLIMIT and a budget: %+v", m)
	}
}
