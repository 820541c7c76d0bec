package scenario

import (
	"testing"
	"time"

	"cowrelay/bench/internal/short"
)

// The test binary is also what runs start: the bound, pullers, and a small relay
// that only tests have.
func TestMain(m *testing.M) {
	soonAfter, goroutineGrace = 50*time.Millisecond, 300*time.Millisecond
	short.Main(m, nil)
}
