package plan

import (
	"testing"

	"cowrelay/cow/engine"
	relayhttp "cowrelay/fasthttp"
)

// The shares add up to the limit, whatever it is.
func TestOpenFiles_Shares(t *testing.T) {
	for limit := 1; limit < 5000; limit++ {
		f, err := shareFiles(limit, 10, 60_000)
		if err != nil {
			if limit >= 64 {
				t.Fatalf("%d: %v", limit, err)
			}
			continue
		}
		if f.Conns < leastConns || f.Admin < 3 || f.Store < engine.MinOpenFiles {
			t.Fatalf("%d: %+v", limit, f)
		}
		if sum := f.Conns + relayhttp.OverConns(f.Conns) + f.Admin + 1 + f.Store + f.others; sum > limit || sum < limit-2 {
			t.Fatalf("%d: %+v: %d", limit, f, sum)
		}
	}
	for _, wanted := range []int{1, 10, 1000, 60_000} {
		f, _ := shareFiles(1<<20, 10, wanted)
		if f.Conns != wanted {
			t.Errorf("%d connections of %d", f.Conns, wanted)
		}
		if g, err := shareFiles(f.Enough(), 10, wanted); err != nil || g.Conns != wanted {
			t.Errorf("the limit that is said to be enough for %d leaves %d, %v", wanted, g.Conns, err)
		}
	}
}
