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
		spent := threadMeter()
		for range 100_000 {
			time.Now()
		}
		took = spent()
	}
}
