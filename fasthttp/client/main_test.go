package client_test

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a goroutine is left that runs or was started by the
// package, or serves a connection of its.
func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	left := func() string {
		buf := make([]byte, 4<<20)
		buf = buf[:runtime.Stack(buf, true)]
		for _, g := range strings.Split(string(buf), "\n\n") {
			if strings.Contains(g, "fasthttp/client.") || strings.Contains(g, "net/http.(*persistConn)") {
				return g
			}
		}
		return ""
	}
	for end := time.Now().Add(time.Minute); code == 0 && left() != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "a goroutine is left:\n%s\n", left())
			code = 1
		}
	}
	os.Exit(code)
}
