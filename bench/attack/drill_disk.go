package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// diskDrill: the store's disk hangs for some seconds, again and again, while
// large posts come and unread pages leave loads without memory. Honest posts may
// be refused meanwhile; all else goes on. The disk is an image with a file system
// of its own that is frozen, which takes root.
var diskDrill = drill{
	name: "disk", what: "a disk that hangs for seconds, while posts come and loads lack memory",
	variants: func(c *Config) []variant {
		n, slots := c.size(200, 50), c.size(24, 12)
		return []variant{{
			name:  fmt.Sprintf("hangs of %v, 64 posters, %d readers of %d cold slots with 32 MiB", hangTime, n, slots),
			relay: relayArgs{flags: []string{"--memory-budget=32MiB", "--disk-reserve=16MiB"}},
			disk:  1 << 30,
			fill:  func(ctx context.Context, r *run) error { return r.fillPages(ctx, slots) },
			attack: join(
				hangDisk,
				largePosts(64, atFew),
				unreadPages(n, atFew)),
			atLeast: 2 * (hangTime + workTime),
		}}
	},
}

// For how long the disk hangs, and works between.
const (
	hangTime = 4 * time.Second
	workTime = 2 * time.Second
)

// mountDisk mounts a small disk of its own as the relay's data folder. unmount
// takes it away again.
func (r *relay) mountDisk(size int64) (unmount func() error, err error) {
	r.disk = filepath.Join(r.dir, "data")
	image := filepath.Join(r.dir, "disk")
	if err := errors.Join(os.Mkdir(r.disk, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, size)); err != nil {
		return nil, err
	}
	for _, argv := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, r.disk}, {"chmod", "700", r.disk}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("cannot have a disk to freeze: %s: %w: %.200s", argv[0], err, out)
		}
	}
	return func() error {
		if out, err := exec.Command("umount", r.disk).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot unmount the drill's disk: %w: %s", err, out)
		}
		return nil
	}, nil
}

// hangDisk freezes the disk for a while, again and again.
func hangDisk(ctx context.Context, r *run, armed func()) error {
	f, err := os.Open(r.relay.disk)
	if err != nil {
		return err
	}
	defer f.Close()
	armed()
	for {
		if err := freeze(int(f.Fd()), r.relay.disk, func() { pause(ctx, hangTime) }); err != nil {
			return err
		}
		if !pause(ctx, workTime) {
			return nil
		}
	}
}

// FIFREEZE and FITHAW, which unix lacks.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// freeze has every write to the file system hang while f runs. Not even SIGKILL
// ends a process that waits so: should this one be killed meanwhile, another
// thaws the file system a little later.
func freeze(fd int, dir string, f func()) error {
	guard := exec.Command("sh", "-c", `sleep 20; fsfreeze --unfreeze "$1"`, "sh", dir)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := guard.Start(); err != nil {
		return err
	}
	defer func() {
		_ = syscall.Kill(-guard.Process.Pid, syscall.SIGKILL) // the group that we gave it
		_ = guard.Wait()
	}()
	if err := unix.IoctlSetInt(fd, fiFreeze, 0); err != nil {
		return fmt.Errorf("cannot freeze the drill's disk: %w", err)
	}
	f()
	if err := unix.IoctlSetInt(fd, fiThaw, 0); err != nil {
		return fmt.Errorf("cannot thaw the drill's disk: %w", err)
	}
	return nil
}

// largePosts posts large events to a slot of its own, as fast as it is answered,
// and waits a moment when it is refused.
func largePosts(n int, by crowd) attackFunc {
	return func(ctx context.Context, r *run, armed func()) error {
		c, done := clientAt(by.ip(0), n)
		defer done()
		var all []func() error
		for i := range n {
			all = append(all, func() error {
				r.postLarge(ctx, c, i)
				return nil
			})
		}
		armed()
		_ = parallel(ctx, n, all) // ctx has ended
		return nil
	}
}

func (r *run) postLarge(ctx context.Context, c *http.Client, i int) {
	s, err := r.relay.allocate(ctx, c)
	for ; err != nil && pause(ctx, 100*time.Millisecond); s, err = r.relay.allocate(ctx, c) {
	}
	// A slot takes 64 MiB.
	for k := 0; ctx.Err() == nil && k < 64<<20/largeEvent; k++ {
		if r.relay.post(ctx, c, s, event(fmt.Sprintf("large-%d-%d", i, k), largeEvent)) != nil {
			pause(ctx, 100*time.Millisecond)
		}
	}
}
