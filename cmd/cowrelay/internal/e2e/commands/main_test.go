// Package commands has the tests of the command line: flags and configuration, what
// each command prints, and its exit status.
package commands

import (
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

func TestMain(m *testing.M) { relaytest.Main(m) }
