package relaytest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Binary is the file that is tested: the relay as it is released. Main builds it.
var Binary string

// launchers prepare this process in a way that only it can do to itself, and then
// become the relay. The binary of a test runs itself with the name of one.
var launchers = map[string]func(args []string){}

// Main is the TestMain of a package whose tests run the relay: it builds the relay
// once, runs the tests and exits.
func Main(m *testing.M) {
	if len(os.Args) > 1 && launchers[os.Args[1]] != nil {
		launchers[os.Args[1]](os.Args[2:])
	}
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "cowrelay-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		os.Chmod(dir, 0o755) // a test runs the binary as another user
		Binary = filepath.Join(dir, "cowrelay")
		build := exec.Command("go", "build", "-o", Binary, "cowrelay/cmd/cowrelay")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot build cowrelay: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// CleanEnv is the environment without the variables that configure a relay.
func CleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "COWRELAY_") && !strings.HasPrefix(v, "GOMEMLIMIT=") {
			env = append(env, v)
		}
	}
	return env
}

// Command runs the binary to its end, within two minutes. env is added to CleanEnv.
func Command(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(Binary, args...)
	cmd.Env = append(CleanEnv(), env...)
	return Finish(t, cmd)
}

// Finish runs a command to its end, within two minutes.
func Finish(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		t.Fatalf("%v did not end\n%s", cmd.Args, errs.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
