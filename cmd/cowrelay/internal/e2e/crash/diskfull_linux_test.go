package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/engine"

	"golang.org/x/sys/unix"
)

// On a small file system that the store fills by itself, and one that somebody
// else fills to the last byte. Without the privilege to mount one it is the
// machine's own, and the reserve stands for its end.
func TestDiskFull_SmallFileSystem(t *testing.T) {
	for name, fill := range map[string]func(*diskFull, string){
		"by the store": func(d *diskFull, _ string) {
			d.size = 200_000
			d.fill(func() bool {
				for range 20 {
					d.post()
				}
				return true
			})
		},
		"to the last byte": func(d *diskFull, dir string) {
			b := &ballast{name: filepath.Join(dir, "ballast"), step: 64 << 20}
			d.fill(func() bool { return b.grow(d.t) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			reserve, grow := smallFileSystem(t, dir)
			data := filepath.Join(dir, "data")
			d := newDiskFull(t, relaytest.Start(t, data, "--disk-reserve="+reserve, "--memory-budget=32MiB"))
			fill(d, dir)
			d.refused()
			time.Sleep(time.Second) // what the store does in the background must not end it
			d.refused()
			grow()
			d.goesOn(data)
		})
	}
}

// smallFileSystem mounts one on dir in which the store has some 20 MiB, beside the
// 32 MiB that its log takes at once; grow makes it larger.
func smallFileSystem(t *testing.T, dir string) (reserve string, grow func()) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=160m"); err != nil {
		t.Logf("on the machine's own file system, because mounting a small one: %v", err)
		room := &ballast{name: filepath.Join(dir, "room"), step: 512 << 20}
		if !room.grow(t) {
			t.Fatal("not even 512 MiB are free")
		}
		free, err := engine.FreeSpace(dir)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(free - 52<<20), func() {
			os.Remove(filepath.Join(dir, "ballast"))
			os.Remove(room.name)
		}
	}
	t.Log("on a tmpfs of 160 MiB")
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return "108MiB", func() {
		os.Remove(filepath.Join(dir, "ballast"))
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=600m"); err != nil {
			t.Error(err)
		}
	}
}
