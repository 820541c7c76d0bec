//go:build !race && !invariants

package replay_test

import (
	"testing"

	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// TestAllocs_SharedCommit: a commit to a shared log allocates what it waits on, and
// nothing for each post. The log takes some too.
func TestAllocs_SharedCommit(t *testing.T) {
	opts := options(t)
	opts.Backlog = 4 << 20
	j, err := replay.OpenShared(t.Context(), newEcho(), swallowShared{replaytest.NewStore()}, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	commit := posts(t, fed(j), 64)
	for range 2000 {
		commit()
	}
	if n := testing.AllocsPerRun(2000, commit); n > 8 {
		t.Errorf("a commit of 64 posts allocates %g times", n)
	}
}

// TestAllocs_Commit: a commit allocates nothing but its share of a new chunk now and
// then, and the batch of the applier.
func TestAllocs_Commit(t *testing.T) {
	opts := options(t)
	opts.Backlog = 4 << 20
	j := mustOpen(t, &nowhere{Log: replaytest.NewLog(0)}, swallow{replaytest.NewStore()}, opts)
	defer j.Close()
	commit := posts(t, j, 64)
	for range 2000 {
		commit()
	}
	if n := testing.AllocsPerRun(2000, commit); n > 0.5 {
		t.Errorf("a commit of 64 posts allocates %g times", n)
	}
}
