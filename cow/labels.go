package cow

import (
	"context"
	"runtime/pprof"
)

// labeled runs f under a pprof label, so that profiles of a long-lived
// goroutine can be told apart: go tool pprof -tagfocus=cow=commit.
func labeled(name string, f func()) {
	pprof.Do(context.Background(), pprof.Labels("cow", name), func(context.Context) { f() })
}
