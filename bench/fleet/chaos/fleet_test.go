package chaos

import (
	"context"
	"testing"

	"cowrelay/bench/fleet/fault"
)

// TestFleet breaks three relays on three servers.
func TestFleet(t *testing.T) {
	rounds(t, 3, func(ctx context.Context, binary, dir string) (fault.Rig, error) {
		return fault.StartFleet(ctx, fault.FleetConfig{Binary: binary, Dir: dir, Relays: 3, Servers: 3, Trims: true})
	})
}
