package offline

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// usedBy returns the id of another process that uses the folder, as far as the
// system tells. Otherwise it returns "". A process that has a file there open uses
// it. So does a running relay of the kind that wrote the folder: that one opens its
// files only for a moment each, so its environment has to tell.
func usedBy(dir string) string {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return ""
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return ""
	}
	own := fmt.Sprint(os.Getpid())
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // none where there is no /proc
	for _, link := range links {
		pid := strings.Split(link, "/")[2]
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, dir+"/") && pid != own {
			return pid
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		text, _ := os.ReadFile(process + "/cmdline")
		args := strings.Split(string(text), "\x00")
		if !slices.Contains(args, "relay-server") {
			continue
		}
		if state, err := filepath.EvalSymlinks(relayState(process, args)); err == nil && state == dir {
			return filepath.Base(process)
		}
	}
	return ""
}

// relayState returns where a running relay of that kind keeps its state: in
// $WIRE_HOME, or in the user's folder for state. A relay for this machine alone has
// a folder of its own there.
func relayState(process string, args []string) string {
	text, _ := os.ReadFile(process + "/environ")
	env := make(map[string]string)
	for entry := range strings.SplitSeq(string(text), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	state, fixed := filepath.Join(env["HOME"], ".local/state"), env["XDG_STATE_HOME"]
	if home, ok := env["WIRE_HOME"]; ok {
		state = filepath.Join(home, "state")
	} else if filepath.IsAbs(fixed) {
		state = fixed
	}
	state = filepath.Join(state, "wire-relay")
	switch {
	case slices.ContainsFunc(args, func(arg string) bool { return arg == "--uds" || strings.HasPrefix(arg, "--uds=") }):
		state = filepath.Join(state, "uds")
	case slices.Contains(args, "--local-only"):
		state = filepath.Join(state, "local")
	}
	if filepath.IsAbs(state) {
		return state
	}
	return filepath.Join(process, "cwd", state)
}
