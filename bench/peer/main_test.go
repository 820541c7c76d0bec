package peer

import (
	"testing"

	"cowrelay/bench/internal/short"
)

// The test binary is also the relay, and what is started in the place of nginx
// and of natspeer.
func TestMain(m *testing.M) {
	short.Main(m, map[string]func([]string) error{"-p": runTinyPeer, "server": runTinyPeer, "load": runTinyPeer})
}
