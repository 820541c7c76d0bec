package engine

import (
	"os/exec"
	"path/filepath"
	"testing"

	"cowrelay/cow"
)

// TestOpen_FromBeforeOwners: the folders in testdata were written by the program that
// knew no owners of slots. One was stopped, the other was killed and has all in its
// log. Both open, their slots have no owner, and new slots stand beside them.
func TestOpen_FromBeforeOwners(t *testing.T) {
	for _, name := range []string{"before-owner-stopped", "before-owner-killed"} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			if out, err := exec.Command("tar", "-C", parent, "-xzf", "testdata/"+name+".tar.gz").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			dir := filepath.Join(parent, "data")
			owned := cow.Group{Op: cow.OpCreate, Slot: cow.NewID(), Token: cow.HashToken([]byte("t")), Owner: cow.HashToken([]byte("o"))}
			for round := range 3 {
				j, err := Open(dir, Options{SegmentBytes: 256 << 10, Logger: quiet})
				if err != nil {
					t.Fatal(err)
				}
				seen := 0
				err = j.Slots(func(r cow.SlotRecord) error {
					seen++
					if r.Slot == owned.Slot {
						if r.Token != owned.Token || r.Owner != owned.Owner {
							t.Errorf("round %d: the new slot has other tokens", round)
						}
						return nil
					}
					if r.Owner != (cow.TokenHash{}) || r.Count != 1 || r.Token != cow.HashToken([]byte{'t', 'o', 'k', 'e', 'n', '-', '0' + r.Slot[0] - 1}) {
						t.Errorf("round %d: %+v", round, r)
					}
					return nil
				})
				if want := 4 + min(round, 1); err != nil || seen != want {
					t.Errorf("round %d: %d slots, want %d: %v", round, seen, want, err)
				}
				if round == 0 {
					commitOne(t, j, owned)
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
