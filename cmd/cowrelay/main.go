// Command cowrelay is the mailbox relay, and the commands that use a relay, look
// after one, or read the store of one that is stopped.
package main

import (
	"os"

	"cowrelay/cmd/cowrelay/internal/root"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

func main() { os.Exit(root.Run(version, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
