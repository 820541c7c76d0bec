package relay

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Configure writes the configuration file.
func (r *Process) Configure(maxStreams int) error {
	return os.WriteFile(filepath.Join(r.dir, "relay.toml"), fmt.Appendf(nil, "max-streams = %d\n", maxStreams), 0o600)
}

// Reload makes the relay read its configuration again (SIGHUP).
func (r *Process) Reload() error { return r.cmd.Process.Signal(syscall.SIGHUP) }
