package backup

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// copyGone waits until the relay has removed its side of a copy.
func copyGone(t *testing.T, data string) {
	t.Helper()
	eventually(t, "the relay removes its copy", func() bool {
		_, err := os.Stat(filepath.Join(data, "checkpoint"))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// A client that is killed leaves nothing that passes for a backup, and holds nothing of
// the relay's disk. The next one clears away what it left.
func TestBackup_ClientKilled(t *testing.T) {
	t.Parallel()
	f := relaytest.Fill(t, 8, 2000, 1500) // at 1 MiB a second it takes longer than a round on a busy machine
	r := relaytest.Start(t, f.Dir)
	dir := filepath.Join(t.TempDir(), "new", "backups")
	for round := range 4 {
		cmd, _ := begin(t, r, dir, "--rate=1MiB")
		if round > 0 {
			arriving(t, dir)
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		}
		if round == 1 { // beside it there is no other one, in this folder or elsewhere
			_, why := run(t, 1, "backup", dir, "--admin="+r.AdminURL)
			relaytest.Contains(t, why, "another backup is being made")
			elsewhere := t.TempDir()
			_, why = run(t, 1, "backup", elsewhere, "--admin="+r.AdminURL)
			relaytest.Contains(t, why, "another copy of the store is being read")
			if left := names(t, elsewhere); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		for _, name := range names(t, dir) {
			if !strings.HasSuffix(name, ".partial") {
				t.Errorf("round %d left %s", round, name)
			}
		}
		if round > 0 {
			half := filepath.Join(dir, names(t, dir)[0])
			_, why := run(t, 1, "restore", half, filepath.Join(t.TempDir(), "data"))
			relaytest.Contains(t, why, "no whole backup")
			run(t, 1, "backup", "list", dir)
		}
		copyGone(t, f.Dir)
	}
	// A client that was killed behind the last byte is none for the relay.
	eventually(t, "failures are counted", func() bool { return r.Metric("cowrelay_backup_failures_total") >= 1 })
	m := back(t, r, dir, "--rate=0")
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	// One that is interrupted says so, and leaves nothing.
	cmd, stderr := begin(t, r, dir, "--rate=1MiB")
	eventually(t, "it begins", func() bool { return len(names(t, dir)) == 2 })
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code == 0 || !strings.Contains(stderr.String(), "interrupted") {
		// It may have been whole before: all but some small files was there.
		if code != 0 {
			t.Errorf("exit %d: %s", code, stderr.String())
		}
	}
	for _, name := range names(t, dir) {
		if strings.HasSuffix(name, ".partial") {
			t.Errorf("left: %s", name)
		}
	}
	a := restored(t, m.Backup)
	holds(t, a, f)
	a.Stop()
	r.Stop()
}

// A relay that is killed in the middle fails the backup with a clear text. Nothing is
// left at either side.
func TestBackup_RelayKilled(t *testing.T) {
	t.Parallel()
	f := relaytest.Fill(t, 4, 2000, 1500)
	dir := t.TempDir()
	for range 3 {
		r := relaytest.Start(t, f.Dir)
		cmd, stderr := begin(t, r, dir, "--rate=1MiB")
		arriving(t, dir)
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		r.Kill()
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("exit %d", code)
		}
		relaytest.Contains(t, stderr.String(), "nothing was backed up", "broke off")
		if left := names(t, dir); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		_, why := run(t, 1, "backup", dir, "--admin="+r.AdminURL)
		relaytest.Contains(t, why, "no relay answers")
	}
	r := relaytest.Start(t, f.Dir)
	copyGone(t, f.Dir)
	m := back(t, r, dir)
	// Its folder is in use: a backup of a stopped relay is no way round.
	_, why := run(t, 1, "backup", dir, "--offline", "--data-dir", f.Dir)
	relaytest.Contains(t, why, "in use", "leave out --offline")
	r.Stop()
	a := restored(t, m.Backup)
	holds(t, a, f)
	a.Stop()
}

// A disk that is full at the backup's side, here a limit of the length of files, gives a
// clear text and leaves nothing half.
func TestBackup_DiskFull(t *testing.T) {
	t.Parallel()
	f := relaytest.Fill(t, 4, 2000, 1500)
	r := relaytest.Start(t, f.Dir)
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", `ulimit -f 512; exec "$@"`, "sh", relaytest.Binary, "backup", dir, "--admin="+r.AdminURL)
	cmd.Env = relaytest.CleanEnv()
	_, why, code := relaytest.Finish(t, cmd)
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, why, "nothing was backed up", "file too large")
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	copyGone(t, f.Dir)
	eventually(t, "the failure is counted", func() bool { return r.Metric("cowrelay_backup_failures_total") == 1 })
	m := back(t, r, dir)
	// The same on the way back.
	data := filepath.Join(t.TempDir(), "data")
	cmd = exec.Command("sh", "-c", `ulimit -f 512; exec "$@"`, "sh", relaytest.Binary, "restore", m.Backup, data)
	cmd.Env = relaytest.CleanEnv()
	_, why, code = relaytest.Finish(t, cmd)
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, why, "file too large")
	if left := names(t, data); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	run(t, 0, "restore", m.Backup, data)
	_, why = run(t, 1, "restore", m.Backup, data)
	relaytest.Contains(t, why, "not empty")
	_, why = run(t, 1, "restore", dir, filepath.Join(t.TempDir(), "data"))
	relaytest.Contains(t, why, "several backups")
	r.Stop()
}

// What is damaged in a backup is found, by the list and by the next backup too where the
// manifest shows it.
func TestBackup_Damaged(t *testing.T) {
	t.Parallel()
	f := relaytest.Fill(t, 2, 1000, 500)
	r := relaytest.Start(t, f.Dir)
	dir := t.TempDir()
	m := back(t, r, dir)
	tables, err := filepath.Glob(filepath.Join(m.Backup, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("%v, %v", tables, err)
	}
	flip := func(path string) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 4
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip(tables[0])
	_, why := run(t, 1, "restore", "--verify-only", m.Backup)
	relaytest.Contains(t, why, "damaged", filepath.Base(tables[0]))
	// The next one shares the damaged file, and --verify sees it.
	_, why = run(t, 1, "backup", dir, "--verify", "--admin="+r.AdminURL)
	relaytest.Contains(t, why, "nothing was backed up", "damaged")
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	flip(filepath.Join(m.Backup, "manifest.json"))
	_, why = run(t, 1, "backup", "list", dir)
	relaytest.Contains(t, why, "1 of 1 backups are damaged")
	// A damaged one is no ground for the next, and does not count for --keep.
	out, why := run(t, 0, "backup", dir, "--keep=1", "--admin="+r.AdminURL)
	relaytest.Contains(t, why, "an earlier backup is not used")
	if strings.Contains(out, "removed") || len(names(t, dir)) != 2 {
		t.Errorf("%s%v", out, names(t, dir))
	}
	// Wrong command lines.
	for _, args := range [][]string{{"backup"}, {"backup", dir, "--keep=-1"}, {"backup", dir, "--rate=1KiB"}, {"backup", dir, "--rate=x"}, {"restore", dir}, {"restore", "--verify-only", dir, dir}, {"backup", "list"}} {
		run(t, 2, args...)
	}
	r.Stop()
}
