package main

import (
	"errors"
	"fmt"
	"io"
)

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1 // a run failed, or something came back wrong
	exitUsage = 2
)

// errHelp says that the user asked for help.
var errHelp = errors.New("help")

// carryOut ends what a command begins with: parseErr is what its command line came to.
// It prints the help, says what is wrong, or runs the command. It returns the exit
// status.
func carryOut(name string, parseErr error, help func(), run func() error, stderr io.Writer) int {
	switch {
	case errors.Is(parseErr, errHelp):
		help()
		return exitOK
	case parseErr != nil:
		fmt.Fprintf(stderr, "%s: wrong usage:\n%v\n%[1]s --help explains\n", name, parseErr)
		return exitUsage
	}
	if err := run(); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return exitError
	}
	return exitOK
}
