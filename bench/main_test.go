package bench

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain lets the test binary be what runs start: the bound, pullers, and a
// small relay that only tests have.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		var err error
		switch os.Args[1] {
		case BoundCommand:
			err = RunBound(os.Args[2:])
		case LoaderCommand:
			err = RunLoader(os.Args[2:])
		case "serve":
			err = serveTinyRelay(os.Args[2:])
		case "-p", "server", "load":
			err = runTinyPeer(os.Args[1:])
		default:
			runTests(m)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	runTests(m)
}

func runTests(m *testing.M) {
	answerGrace = time.Second
	soonAfter, goroutineGrace = 50*time.Millisecond, 300*time.Millisecond
	os.Exit(m.Run())
}
