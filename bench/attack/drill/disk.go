package drill

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// diskDrill has the store's disk hang for some seconds again and again, while
// large posts come and unread pages leave loads without memory. Honest posts
// may be refused meanwhile; everything else goes on. The disk is an image with
// a file system of its own that is frozen, which takes root.
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

// For how long the disk hangs, and for how long it works in between.
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

// FIFREEZE and FITHAW, which package unix lacks.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// freeze makes every write to the file system hang while f runs. Not even
// SIGKILL ends a process that hangs so. If this process is killed meanwhile,
// the guard thaws the file system a little later.
func freeze(fd int, dir string, f func()) error {
	guard := exec.Command("sh", "-c", `sleep 20; fsfreeze --unfreeze "$1"`, "sh", dir)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := guard.Start(); err != nil {
		return err
	}
	defer func() {
		_ = syscall.Kill(-guard.Process.Pid, syscall.SIGKILL) // the process group that it got from us
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

// largePosts has n clients post large events to slots of their own, as fast as
// they get answers. A client that is refused waits a moment.
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

// postLarge is one of these clients.
func (r *Scene) postLarge(ctx context.Context, c *http.Client, i int) {
	s, err := r.Relay.Allocate(ctx, c)
	for ; err != nil && client.Pause(ctx, 100*time.Millisecond); s, err = r.Relay.Allocate(ctx, c) {
	}
	// A slot takes 64 MiB.
	for k := 0; ctx.Err() == nil && k < 64<<20/client.LargeEvent; k++ {
		if r.Relay.Post(ctx, c, s, client.Event(fmt.Sprintf("large-%d-%d", i, k), client.LargeEvent)) != nil {
			client.Pause(ctx, 100*time.Millisecond)
		}
	}
}
