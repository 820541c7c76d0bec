// Command cowrelay is the mailbox relay: it joins the slots of package cow, the
// store in cow/pebblelog and the routes of package fasthttp.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version = ""

const usage = `cowrelay is an HTTP mailbox relay for AI agents.

Usage:
  cowrelay serve [flags]         run the relay
  cowrelay check-config [flags]  check flags and environment, print what would run
  cowrelay version               print the version
  cowrelay help                  print this

Flags of serve and check-config are listed by: cowrelay serve --help
Every flag can be given as an environment variable: --data-dir is
COWRELAY_DATA_DIR. A flag wins over its variable.
`

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // could not run
	exitUsage  = 2 // was asked the wrong way
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "serve", "check-config":
		c, help, err := parseConfig(args[0], args[1:], os.LookupEnv)
		switch {
		case help != "":
			fmt.Fprint(stdout, help)
			return exitOK
		case err != nil:
			fmt.Fprintf(stderr, "cowrelay %s: %v\nSee: cowrelay serve --help\n", args[0], err)
			return exitUsage
		case args[0] == "check-config":
			c.print(stdout)
			return exitOK
		}
		if err := serve(c, stderr); err != nil {
			fmt.Fprintln(stderr, "cowrelay serve:", err)
			return exitFailed
		}
		return exitOK
	case "version", "--version", "-version":
		fmt.Fprintln(stdout, "cowrelay", versionText(), runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
		return exitOK
	case "help", "--help", "-help", "-h":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	fmt.Fprintf(stderr, "cowrelay: unknown command %q\n\n%s", args[0], usage)
	return exitUsage
}

// versionText is the release, or the commit that it was built from.
func versionText() string {
	if version != "" {
		return version
	}
	text := "dev"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && len(s.Value) >= 12:
				text = "dev-" + s.Value[:12]
			case s.Key == "vcs.modified" && s.Value == "true":
				text += "-dirty"
			}
		}
	}
	return text
}
