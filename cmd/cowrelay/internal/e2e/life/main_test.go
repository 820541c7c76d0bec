// Package life has the tests of a relay as a process: how it starts and refuses to,
// signals, reloads, the drain, its log, its service manager, open files and modes.
package life

import (
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

func TestMain(m *testing.M) { relaytest.Main(m) }
