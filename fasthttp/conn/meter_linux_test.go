package conn

import (
	"testing"
	"time"
)

// What a goroutine computes counts, and what it sleeps does not.
func TestThreadMeter(t *testing.T) {
	t.Parallel()
	spent := threadMeter()
	time.Sleep(200 * time.Millisecond)
	if n := spent(); n < 0 || n > 100*time.Millisecond {
		t.Errorf("200 ms of sleep count %v", n)
	}
	for took := time.Duration(0); took == 0; { // until something counts
		spent, begun, sum := threadMeter(), time.Now(), time.Duration(0)
		for range 100_000 {
			sum += time.Since(begun)
		}
		if sum == 0 {
			t.Fatal("the clock stands still")
		}
		took = spent()
	}
}
