//go:build !linux

package conn

import "time"

// threadMeter is a meter that counts more than it should; see wallMeter.
func threadMeter() func() time.Duration { return wallMeter() }
