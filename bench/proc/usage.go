package proc

import (
	"fmt"
	"time"
)

// A Usage is a reading of all clocks at one end of a round.
type Usage struct {
	At        time.Time
	Server    time.Duration // CPU time; 0 if the server's process is unknown
	Generator time.Duration
	Machine   time.Duration
}

// ReadUsage reads all clocks. pid is the server's; 0 means that it is unknown.
func ReadUsage(pid int) (Usage, error) {
	u := Usage{Generator: OwnCPU()}
	var err error
	if pid != 0 {
		if u.Server, err = overFamily(pid, processCPU); err != nil {
			return u, fmt.Errorf("cannot read the server's CPU time: %w", err)
		}
	}
	if u.Machine, err = machineCPU(); err != nil {
		return u, err
	}
	u.At = time.Now()
	return u, nil
}
