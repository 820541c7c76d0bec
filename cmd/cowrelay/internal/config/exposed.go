package config

import (
	"fmt"
	"log/slog"
	"os"
)

// exposure is a file or folder of the relay that others on the machine can reach
// and need not.
type exposure struct {
	what, path string
	mode       os.FileMode
	do         string
}

// Exposed returns what others can read or change of the store's folder and of the
// file of the admin token. Such modes are warned of, not refused: containers mount
// secrets that everybody in them can read, and volumes that a group can write. A
// path that is not there, or can't be looked at, is not exposed.
func (c *Config) Exposed() (list []exposure) {
	check := func(path string, whats map[os.FileMode]string, do string) {
		info, err := os.Stat(path)
		if path == "" || err != nil {
			return
		}
		for _, bits := range []os.FileMode{0o022, 0o055} { // the worse first
			if what := whats[bits]; what != "" && info.Mode().Perm()&bits != 0 {
				list = append(list, exposure{what, path, info.Mode().Perm(), do + " " + path})
				return
			}
		}
	}
	check(c.DataDir, map[os.FileMode]string{
		0o022: "others can write to the data folder, and so take away the store or put another one there",
		0o055: "others can look into the data folder",
	}, "chmod 700")
	check(c.AdminTokenFile, map[os.FileMode]string{
		0o022: "others can change the admin token",
		0o055: "others can read the admin token",
	}, "chmod 600")
	check(c.TLSKey, map[os.FileMode]string{
		0o022: "others can change the key of the certificate",
		0o055: "others can read the key of the certificate",
	}, "chmod 600")
	return list
}

// String is the exposure as a warning of check-config.
func (e exposure) String() string {
	return fmt.Sprintf("%s: %s (mode %04o): %s", e.path, e.what, e.mode, e.do)
}

// Log is the same in the log of the relay.
func (e exposure) Log(log *slog.Logger) {
	log.Warn(e.what, "path", e.path, "mode", fmt.Sprintf("%04o", e.mode), "do", e.do)
}
