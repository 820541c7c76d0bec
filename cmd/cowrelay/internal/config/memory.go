package config

import (
	"fmt"
	"os"
	"runtime/debug"

	"cowrelay/cmd/cowrelay/internal/plan"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// setBudget sets the memory budget, and finds how much memory the process may
// take: GOMEMLIMIT, else the lower of the control group's limit and the machine's
// memory.
func (c *Config) setBudget(v string) error {
	// Without GOMEMLIMIT the runtime's limit is MaxInt64.
	if c.MemoryLimit = debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") == "" || c.MemoryLimit == 1<<63-1 {
		limit, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
		if err != nil && v == "" {
			return fmt.Errorf("cannot find the memory limit, so give it: %w", err)
		}
		if system, err := memlimit.FromSystem(); err == nil && (limit == 0 || system < limit) {
			limit = system
		}
		c.MemoryLimit = int64(min(limit, 1<<62))
	}
	if v == "" {
		c.MemoryBudget = max(c.MemoryLimit/10*6, plan.MinBudget)
		return nil
	}
	return size(&c.MemoryBudget, plan.MinBudget)(v)
}

// setRequestBudget leaves 0 for "", so that plan.SplitBudget chooses. Load checks
// that it is not more than half of the whole.
func (c *Config) setRequestBudget(v string) error {
	if v == "" {
		return nil
	}
	return size(&c.RequestBudget, plan.MinRequests)(v)
}
