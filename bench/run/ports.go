package run

import (
	"runtime"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

// connectRateMost is more connections a second and core than loopback was seen
// to make.
const connectRateMost = 10_000

// checkPorts says whether there are enough ports for n connections to the relay
// that end within wire.PortHeld of each other.
func checkPorts(cfg *Config, n int) error {
	if n == 0 {
		return nil
	}
	from, to, err := wire.PortRange()
	if err != nil {
		return err
	}
	addr := "127.0.0.1:1" // a relay of ours, on some port
	if cfg.Target != "" {
		s, err := load.Attach(cfg.Target, 0)
		if err != nil {
			return err
		}
		addr = s.Addr
	}
	addrs := 1
	if s := wire.NewSources(addr, n); s != nil {
		addrs = s.Count()
	}
	return wire.FitsPorts(n, from, to, addrs)
}

// ConnectsMost is about how many connections to one side may be in TIME_WAIT at
// once in a run of cfg's rounds, at most.
func ConnectsMost(cfg *Config) int {
	d := min(time.Duration(cfg.Rounds)*(cfg.Warmup+cfg.Duration), wire.PortHeld)
	return int(d.Seconds() * connectRateMost * float64(runtime.NumCPU()))
}
