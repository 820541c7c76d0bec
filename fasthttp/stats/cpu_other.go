//go:build !unix

package stats

import "time"

// cpuTime returns the CPU time that the process has used: unknown here.
func cpuTime() time.Duration { return -1 }
