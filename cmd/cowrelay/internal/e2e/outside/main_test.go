// Package outside has the tests in which the relay meets what is not ours: the files
// that deploy it, and with the tag real or realclient browsers, Prometheus, systemd,
// foreign clients and the released client of agents.
package outside

import (
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

func TestMain(m *testing.M) { relaytest.Main(m) }
