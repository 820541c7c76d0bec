package mix

import "testing"

// Each agent posts to all others in turn, and never to itself.
func TestMix_reader(t *testing.T) {
	for n := 2; n < 12; n++ {
		m := &round{runner: &runner{agents: make([]*agent, n)}, each: 16 * burstPosts}
		for i := range n * m.each {
			if to := m.reader(i); to == i/m.each || to < 0 || to >= n {
				t.Fatalf("%d agents: event %d of agent %d goes to agent %d", n, i, i/m.each, to)
			}
		}
	}
}
