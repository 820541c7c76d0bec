package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

func mustShare(t *testing.T, dir string, server *replaytest.Server) *Shared {
	t.Helper()
	s, err := OpenShared(context.Background(), dir, server.Client(), Options{SegmentBytes: 1 << 20, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s.Feed(func(*cow.Append) {})
	return s
}

func mustClose(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// cannotShare fails unless the folder can't be joined to the log for this reason.
func cannotShare(t *testing.T, dir string, server *replaytest.Server, why error) {
	t.Helper()
	client := server.Client()
	defer client.Close()
	_, err := OpenShared(context.Background(), dir, client, Options{SegmentBytes: 1 << 20, Logger: quiet})
	var join *JoinError
	if !errors.Is(err, why) || !errors.As(err, &join) || join.Do == "" {
		t.Errorf("%v, want %v", err, why)
	}
}

// level waits until a relay has applied all that another one has.
func level(t *testing.T, s, to *Shared) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); s.Health().Applied < to.Health().Applied; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v behind %+v", s.Health(), to.Health())
		}
	}
}

// owned makes a folder of a relay with a log of its own: a slot of n events.
func owned(t *testing.T, slot cow.ID, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	l := mustOpen(t, dir, Options{SegmentBytes: 1 << 20, Logger: quiet})
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: slot})
	commitOne(t, l, scriptAppend(slot, 0, 0, n))
	mustClose(t, l)
	return dir
}

// counted fails unless a journal has so many events of a slot.
func mustCount(t *testing.T, l *Journal, slot cow.ID, want int) {
	t.Helper()
	if n, err := count(l, slot, 0); n != want || err != nil {
		t.Fatalf("%d events, want %d, %v", n, want, err)
	}
}

// A folder with a log of its own begins a fleet. Another relay joins by a copy. A member
// leaves, and is a relay of its own again.
func TestShared_FromOneFolderAndBack(t *testing.T) {
	server, slot := replaytest.NewServer(1), cow.NewID()
	first := owned(t, slot, 20)
	a := mustShare(t, first, server)
	mustCount(t, a.Journal, slot, 20)
	if _, err := os.Stat(filepath.Join(first, logFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log of one relay is left: %v", err)
	}
	other := cow.NewID()
	commitOne(t, a.Journal, cow.Group{Op: cow.OpCreate, Slot: other})

	second := filepath.Join(t.TempDir(), "data")
	cannotShare(t, second, server, replay.ErrTrimmed)
	if empty, err := Empty(second); !empty || err != nil {
		t.Errorf("a folder that could not join is not empty: %v", err)
	}
	archive, m := checkpoint(t, a.Journal)
	if m.LogID() == (replay.LogID{}) || m.Applied < 2 || m.Digest == 0 {
		t.Errorf("manifest %+v", m)
	}
	if _, err := Restore(context.Background(), second, bytes.NewReader(archive), RestoreOptions{Log: [16]byte{1}, Journal: Options{Logger: quiet}}); err == nil {
		t.Error("a copy of another fleet is taken")
	}
	if _, err := Restore(context.Background(), second, bytes.NewReader(archive), RestoreOptions{Log: m.LogID(), Journal: Options{Logger: quiet}}); err != nil {
		t.Fatal(err)
	}
	if _, faults := inspect(t, second, nil); len(faults) > 0 {
		t.Errorf("faults: %v", faults)
	}
	commitOne(t, a.Journal, scriptAppend(other, 0, 0, 3)) // behind the copy
	b := mustShare(t, second, server)
	level(t, b, a)
	mustCount(t, b.Journal, slot, 20)
	mustCount(t, b.Journal, other, 3)
	mustClose(t, b)
	b = mustShare(t, second, server)
	mustCount(t, b.Journal, other, 3)
	mustClose(t, b)

	if _, err := Open(second, Options{Logger: quiet}); !errors.Is(err, replay.ErrShared) {
		t.Errorf("a member's folder, as one of a relay alone: %v", err)
	}
	alone := mustOpen(t, second, Options{SegmentBytes: 1 << 20, Logger: quiet, LeaveFleet: true})
	mustCount(t, alone, other, 3)
	own := cow.NewID()
	commitOne(t, alone, cow.Group{Op: cow.OpCreate, Slot: own})
	mustClose(t, alone)
	alone = mustOpen(t, second, Options{SegmentBytes: 1 << 20, Logger: quiet, LeaveFleet: true}) // does nothing
	mustCount(t, alone, own, 0)
	mustClose(t, alone)
	cannotShare(t, second, server, replay.ErrForeignData)
	alone = mustOpen(t, second, Options{SegmentBytes: 1 << 20, Logger: quiet}) // and is as it was
	mustCount(t, alone, slot, 20)
	mustClose(t, alone)

	// It can begin another fleet.
	another := replaytest.NewServer(2)
	c := mustShare(t, second, another)
	mustCount(t, c.Journal, slot, 20)
	mustClose(t, c)
	cannotShare(t, second, server, replay.ErrOtherLog)
	mustClose(t, a)
}

// A fleet that began with nothing is joined by replay alone.
func TestShared_FromNothing(t *testing.T) {
	server, slot := replaytest.NewServer(3), cow.NewID()
	a := mustShare(t, t.TempDir(), server)
	commitOne(t, a.Journal, cow.Group{Op: cow.OpCreate, Slot: slot})
	commitOne(t, a.Journal, scriptAppend(slot, 0, 0, 5))
	dir := t.TempDir()
	b := mustShare(t, dir, server)
	level(t, b, a)
	mustCount(t, b.Journal, slot, 5)
	foreign := owned(t, cow.NewID(), 1)
	cannotShare(t, foreign, server, replay.ErrForeignData)
	if s := b.Stats(); s.Log.Bytes != 0 || b.Full() {
		t.Errorf("a log that is not there: %+v", s.Log)
	}
	mustClose(t, b)
	mustClose(t, a)
	// A process that was killed before it could drop its old log.
	if err := os.MkdirAll(filepath.Join(dir, logFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, logFolder, "000001.log"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	b = mustShare(t, dir, server)
	mustCount(t, b.Journal, slot, 5)
	mustClose(t, b)
	if _, err := os.Stat(filepath.Join(dir, logFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old log is left: %v", err)
	}
}

// What the log of one relay has beyond its store is a part of what a fleet begins with.
func TestShared_BeginsWithTheRestOfTheLog(t *testing.T) {
	server, slot := replaytest.NewServer(4), cow.NewID()
	dir := owned(t, slot, 5)
	l := mustOpen(t, dir, Options{SegmentBytes: 1 << 20, Logger: quiet})
	g := scriptAppend(slot, 0, 0, 5)
	commitOne(t, l, scriptAppend(slot, 5, g.Bytes, 7))
	// As a kill leaves it: a copy of the files, of which the store has not flushed the last.
	killed := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	s := mustShare(t, killed, server)
	mustCount(t, s.Journal, slot, 12)
	mustClose(t, s)
}
