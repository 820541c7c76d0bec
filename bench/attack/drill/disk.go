package drill

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// diskDrill: the store's disk hangs for some seconds, again and again, while
// large posts come and unread pages leave loads without memory. Honest posts may
// be refused meanwhile; all else goes on. The disk is an image with a file system
// of its own that is frozen, which takes root.
var diskDrill = Drill{
	Name: "disk", what: "a disk that hangs for seconds, while posts come and loads lack memory",
	Variants: func(c Scale) []Variant {
		n, slots := c.Of(200, 50), c.Of(24, 12)
		return []Variant{{
			Name:  fmt.Sprintf("hangs of %v, 64 posters, %d readers of %d cold slots with 32 MiB", hangTime, n, slots),
			Relay: relay.Args{Flags: []string{"--memory-budget=32MiB", "--disk-reserve=16MiB"}},
			Disk:  1 << 30,
			Fill:  func(ctx context.Context, r *Scene) error { return r.fillPages(ctx, slots) },
			Attack: join(
				hangDisk,
				largePosts(64, atFew),
				unreadPages(n, atFew)),
			AtLeast: 2 * (hangTime + workTime),
		}}
	},
}

// For how long the disk hangs, and works between.
const (
	hangTime = 4 * time.Second
	workTime = 2 * time.Second
)

// hangDisk freezes the disk for a while, again and again.
func hangDisk(ctx context.Context, r *Scene, armed func()) error {
	f, err := os.Open(r.Relay.Disk)
	if err != nil {
		return err
	}
	defer f.Close()
	armed()
	for {
		if err := freeze(int(f.Fd()), r.Relay.Disk, func() { client.Pause(ctx, hangTime) }); err != nil {
			return err
		}
		if !client.Pause(ctx, workTime) {
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
func largePosts(n int, by crowd) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		c, done := client.At(by.ip(0), n)
		defer done()
		var all []func() error
		for i := range n {
			all = append(all, func() error {
				r.postLarge(ctx, c, i)
				return nil
			})
		}
		armed()
		_ = client.Parallel(ctx, n, all) // ctx has ended
		return nil
	}
}
