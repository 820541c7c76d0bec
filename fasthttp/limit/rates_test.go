package limit

import (
	"testing"
	"time"

	"cowrelay/cow/rate"
)

func TestRates_Settings(t *testing.T) {
	l, err := ParseRates(" read=0 , allocate=0.5/3,")
	if err != nil || l[Read] != (rate.Limit{}) || l[Allocate] != (rate.Limit{Every: 2 * time.Second, Burst: 3}) || l[Post] != DefaultRates()[Post] {
		t.Errorf("%v, %v", l, err)
	}
	if l, err := ParseRates(""); err != nil || l != DefaultRates() {
		t.Errorf("%v, %v", l, err)
	}
	for _, bad := range []string{"read", "read=", "read=10", "read=10/", "read=/10", "read=0/10", "read=-1/10", "read=10/0", "read=1e9/1", "read=NaN/1",
		"read=1/1e3", "read=0,read=0", "pull=1/1", "=1/1", "read=1/2/3"} {
		if _, err := ParseRates(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
