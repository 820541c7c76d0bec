// Package crash has the tests in which the machine fails: kill -9 under load, a disk
// that fails, hangs or is full, damage in the log, less memory than is stored. What
// was acknowledged is there afterwards.
package crash

import (
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

func TestMain(m *testing.M) { relaytest.Main(m) }
