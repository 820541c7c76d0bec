package use

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// execute runs a command for events at positions 0 to n-1, four at a time, and returns the
// place that is kept in the end.
func execute(t *testing.T, ctx context.Context, text string, keepGoing bool, n int) (relayclient.Cursor, error) {
	t.Helper()
	s := &slotSession{target: &target{relay: "http://127.0.0.1:1", slot: "s", tokenFrom: tokenVariable}, cmd: &cobra.Command{Use: "tail"}, ctx: ctx}
	place := &resume{path: filepath.Join(t.TempDir(), "place"), slot: "s"}
	x := executor{text: text, keepGoing: keepGoing, parallel: 4, waiting: 2}
	s.cmd.SetErr(new(strings.Builder))
	begin := x.start(s, place)
	for i := range n {
		err := x.add(relayclient.Event{JSON: []byte(`{}`), Cursor: relayclient.At(uint64(i) + 1)})
		if err != nil && begin.Err() == nil {
			t.Fatal(err)
		}
		if err != nil {
			break
		}
	}
	err := x.finish()
	at, _, errLoad := place.load()
	if errLoad != nil {
		t.Fatal(errLoad)
	}
	return at, err
}

// Commands that run side by side end in any order. The place is never behind one that is
// not done.
func TestExecutor_Place(t *testing.T) {
	at, err := execute(t, t.Context(), `[ $((COWRELAY_POSITION % 4)) != 0 ] || sleep 0.05`, false, 40)
	if err != nil || at != relayclient.At(40) {
		t.Errorf("%v, %v", at, err)
	}
	at, err = execute(t, t.Context(), `[ $COWRELAY_POSITION != 10 ]`, false, 40)
	if pos, _ := at.Position(); err == nil || !strings.Contains(err.Error(), "position 10: exit status 1") || pos > 10 {
		t.Errorf("%v, %v", at, err)
	}
	at, err = execute(t, t.Context(), `[ $COWRELAY_POSITION != 10 ]`, true, 40)
	if err == nil || err.Error() != "1 commands failed" || at != relayclient.At(40) {
		t.Errorf("%v, %v", at, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if at, err = execute(t, ctx, `true`, false, 40); err != nil || at != relayclient.At(0) {
		t.Errorf("%v, %v", at, err)
	}
}

// A place that can't be kept ends the commands, and is told of.
func TestExecutor_NoPlace(t *testing.T) {
	s := &slotSession{target: &target{slot: "s", tokenFrom: tokenVariable}, cmd: &cobra.Command{Use: "tail"}, ctx: t.Context()}
	x := executor{text: "true", parallel: 1, waiting: 1}
	x.start(s, &resume{path: filepath.Join(t.TempDir(), "none", "place"), slot: "s"})
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = x.add(relayclient.Event{JSON: []byte(`{}`), Cursor: relayclient.At(uint64(i) + 1)})
	}
	if done := x.finish(); err == nil || done == nil || !errors.Is(err, done) || !strings.Contains(done.Error(), "--resume: ") {
		t.Errorf("%v, %v", err, done)
	}
}
