package config

import (
	"errors"
	"os"
	"strings"
)

// maxName is how long the name of a relay may be.
const maxName = 63

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// setRelayName chooses for "".
func (c *Config) setRelayName(name string) error {
	if name == "" {
		name = hostName()
	}
	if len(name) > maxName || name[0] == '-' || strings.Trim(name, nameBytes) != "" {
		return errors.New("it is 1 to 63 letters, digits, dots, dashes and underscores, the first no dash")
	}
	c.RelayName = name
	return nil
}

// hostName is what a relay is called that has no other name: as its machine is, with
// a dash for each byte that no name has.
func hostName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "relay"
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(nameBytes, r) {
			return r
		}
		return '-'
	}, host[:min(len(host), maxName)])
}
