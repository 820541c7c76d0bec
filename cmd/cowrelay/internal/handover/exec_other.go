//go:build !linux

package handover

import (
	"errors"
	"os"
)

// Supported is nil if this system can hand over.
func Supported() error {
	return errors.New("a relay can hand over on Linux alone: stop it and start it again")
}

// Running is the program that runs.
func Running() Program { return Program{os.Args[0], os.Args} }

func openSelf() (int, error) { return 0, Supported() }

func memoryFile() (*os.File, error) { return nil, Supported() }

func replace(string, []string, []string) error { return Supported() }
