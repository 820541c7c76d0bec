package pullers

import (
	"fmt"
	"os"
	"testing"
	"time"

	"cowrelay/bench/internal/tiny"
	"cowrelay/bench/wire"
)

// The test binary is also the pullers, and the relay that they pull from.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == Command:
		err = Run(os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == "serve":
		err = tiny.Serve(os.Args[2:])
	default:
		wire.AnswerGrace = time.Second
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// self is the test binary.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
