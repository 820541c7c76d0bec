package pebblestore

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// TestMember_Fleet: relays with stores on disks that crash, on one log. See
// replaytest.RunFleet. In the end each store is sound.
func TestMember_Fleet(t *testing.T) {
	const relays = 3
	server := replaytest.NewServer(1)
	server.SetFaults(replaytest.SharedFaults{Lose: 10, Double: 20, Late: 10, Delay: 10e6})
	disks := make([]vfs.FS, relays)
	steps := 400
	if testing.Short() || raceEnabled {
		steps = 100
	}
	replaytest.RunFleet(t, replaytest.Fleet{
		Relays: relays, Steps: steps, Seed: 3, Restarts: true, Large: true,
		Connect: func(testing.TB) replay.SharedLog { return server.Client() },
		Options: replay.Options{ResendAfter: 100e6, Patience: 60e9, Backlog: 256 << 10, Format: byte(replay.Reads())},
		Open: func(relay int) (replay.MemberStore, func(bool) replay.MemberStore) {
			disk := vfs.NewCrashableMem()
			reuse := &reuseFS{FS: disk}
			rng := rand.New(rand.NewPCG(1, uint64(relay)))
			open := func() *Store {
				disks[relay] = disk
				return mustOpen(t, "data", small(Options{FS: reuse, Logger: quiet}))
			}
			return open(), func(crash bool) replay.MemberStore {
				if crash {
					reuse.mu.Lock()
					clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
					reuse.mu.Unlock()
					disk, reuse = clone, &reuseFS{FS: clone}
				}
				return open()
			}
		},
		Quiet: func() { server.SetFaults(replaytest.SharedFaults{}); server.Wait() },
	})
	for relay, disk := range disks {
		if report, faults := inspect(t, "data", disk); len(faults) > 0 || report.Events == 0 {
			t.Errorf("relay %d: %+v, faults %v", relay, report, faults)
		}
	}
}
