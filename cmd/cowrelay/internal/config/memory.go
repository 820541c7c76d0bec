package config

import (
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"cowrelay/cmd/cowrelay/internal/plan"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// setBudget sets the memory budget. It leaves 0 for "", so that shareMemory
// chooses.
func (c *Config) setBudget(v string) error {
	if v == "" {
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

// setCommitWait chooses for "". A sync takes some 60 µs of a processor: where there is
// one, fewer of them leave it to the rest, and a millisecond more is not felt.
func (c *Config) setCommitWait(v string) error {
	if v != "" {
		return duration(&c.CommitWait, 0)(v)
	}
	if c.CommitWait = 0; plan.CPUs(plan.GroupRoot, plan.GroupSelf) <= 1 {
		c.CommitWait = time.Millisecond
	}
	return nil
}

// shareMemory finds how much memory the process may take, and shares it out:
// GOMEMLIMIT, else the lower of the control group's limit and the machine's memory.
// It wants the other settings.
func (c *Config) shareMemory() error {
	// Without GOMEMLIMIT the runtime's limit is MaxInt64.
	if given := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && given != 1<<63-1 {
		c.setMemory(plan.GivenMemory(given, c.MemoryBudget))
		return nil
	}
	limit, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
	if err != nil && c.MemoryBudget == 0 {
		return fmt.Errorf("--memory-budget: cannot find the memory limit, so give it: %w", err)
	}
	if system, err := memlimit.FromSystem(); err == nil && (limit == 0 || system < limit) {
		limit = system
	}
	if limit == 0 { // unknown
		limit = 1 << 62
	}
	conns := c.MaxConns
	if files, err := plan.Files(conns); err == nil { // else the start fails for that reason
		conns = files.Conns
	}
	c.setMemory(plan.ShareMemory(int64(min(limit, 1<<62)), conns, c.MemoryBudget))
	return nil
}

func (c *Config) setMemory(m plan.Memory) { c.RuntimeMemory, c.MemoryBudget = m.Runtime, m.Budget }
