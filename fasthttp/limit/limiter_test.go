package limit

import (
	"fmt"
	"net/netip"
	"testing"

	"cowrelay/cow/rate"
	"cowrelay/fasthttp/accept"
)

// A client that is refused for itself takes nothing from the total, and both are
// counted by class, over changes of the rates.
func TestLimiter_TotalComesSecond(t *testing.T) {
	rates := Rates{Read: rate.PerSecond(1, 2), Total: rate.PerSecond(1, 3)}
	l := New(rates, nil)
	got := ""
	for _, client := range []int{1, 1, 1, 1, 2, 2} {
		over, wait, ok := l.Allow(Read, clientN(client), 0)
		switch {
		case ok:
			got += "+"
		case wait <= 0:
			t.Errorf("a wait of %v", wait)
			fallthrough
		default:
			got += fmt.Sprint("-", over)
		}
	}
	if want := fmt.Sprint("++-", Read, "-", Read, "+-", Total); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := l.Clients(); n != 2 {
		t.Errorf("%d clients are remembered", n)
	}
	// What stays keeps what it knows, what changes begins anew; counts go on.
	rates[Total] = rate.PerSecond(1, 100)
	l = New(rates, l)
	if _, _, ok := l.Allow(Read, clientN(1), 0); ok {
		t.Error("the client's bucket is full again")
	}
	if _, _, ok := l.Allow(Read, clientN(3), 0); !ok {
		t.Error("the total is not")
	}
	counts := map[string]uint64{}
	l.Refused(func(class string, n uint64) { counts[class] = n })
	if counts["read"] != 3 || counts["total"] != 1 || counts["post"] != 0 || len(counts) != int(Classes) {
		t.Errorf("%v", counts)
	}
}

func clientN(n int) accept.Client {
	return accept.ClientAt(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}))
}
