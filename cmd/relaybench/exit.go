package main

import "errors"

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1 // a run failed, or something came back wrong
	exitUsage = 2
)

// errHelp says that the user asked for help.
var errHelp = errors.New("help")
