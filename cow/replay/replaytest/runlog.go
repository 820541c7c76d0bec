package replaytest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"cowrelay/cow/replay"
)

// OpenLog gives a suite an empty log. reopen closes it and opens what it holds again;
// it may be called any number of times. What is open at the end of the test is closed
// by a cleanup.
type OpenLog = func(t testing.TB) (l replay.Log, reopen func() replay.Log)

// RunLog holds a log to what package replay relies on.
func RunLog(t *testing.T, open OpenLog) {
	tests := []struct {
		name string
		run  func(*logSuite)
	}{
		{"Empty", testLogEmpty},
		{"Entries", testLogEntries},
		{"OwnBytes", testLogOwnBytes},
		{"ReadStops", testLogReadStops},
		{"Trim", testLogTrim},
		{"TrimAll", testLogTrimAll},
		{"Large", testLogLarge},
		{"TrimWhileAppending", testLogTrimWhileAppending},
		{"Random", testLogRandom},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &logSuite{T: t, rng: rand.New(rand.NewPCG(1, 2))}
			s.l, s.reopenFunc = open(t)
			s.first = s.l.Last() + 1
			s.keep = s.first
			test.run(s)
		})
	}
}

// logSuite is a log beside a model of it.
type logSuite struct {
	*testing.T
	l          replay.Log
	reopenFunc func() replay.Log
	rng        *rand.Rand
	first      uint64 // number of sizes[0]
	keep       uint64 // entries before it were trimmed
	sizes      []int
}

func (s *logSuite) last() uint64 { return s.first + uint64(len(s.sizes)) - 1 }

// logEntry makes the entry of a number and a size.
func logEntry(seq uint64, size int) []byte {
	b := make([]byte, size)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], seq)
	rand.NewChaCha8(seed).Read(b)
	return b
}

func (s *logSuite) append(size int) {
	s.Helper()
	want := s.last() + 1
	seq, err := s.l.Append(logEntry(want, size))
	if err != nil || seq != want {
		s.Fatalf("append: entry %d, %v; want entry %d", seq, err, want)
	}
	s.sizes = append(s.sizes, size)
	if got := s.l.Last(); got != want {
		s.Fatalf("the last entry is %d, want %d", got, want)
	}
}

func (s *logSuite) trim(seq uint64) {
	s.Helper()
	if err := s.l.Trim(seq); err != nil {
		s.Fatalf("trim up to %d: %v", seq, err)
	}
	s.keep = max(s.keep, seq+1)
	if got := s.l.Last(); got != s.last() {
		s.Fatalf("the last entry is %d after a trim up to %d, want %d", got, seq, s.last())
	}
}

// reopen opens the log again and reads it from all entries that matter.
func (s *logSuite) reopen() {
	s.Helper()
	s.l = s.reopenFunc()
	if got := s.l.Last(); got != s.last() {
		s.Fatalf("the last entry is %d after opening again, want %d", got, s.last())
	}
	for _, from := range []uint64{s.keep, s.keep + 1, (s.keep + s.last()) / 2, s.last(), s.last() + 1} {
		if from >= s.keep && from <= s.last()+1 {
			s.read(from)
		}
	}
}

// read wants all entries from a number on.
func (s *logSuite) read(from uint64) {
	s.Helper()
	next := from
	err := s.l.Read(from, func(seq uint64, entry []byte) error {
		if seq != next || seq > s.last() {
			return fmt.Errorf("entry %d, want %d of %d", seq, next, s.last())
		}
		if want := logEntry(seq, s.sizes[seq-s.first]); !bytes.Equal(entry, want) {
			return fmt.Errorf("entry %d is not what was appended: %d bytes, want %d", seq, len(entry), len(want))
		}
		clear(entry)
		next++
		return nil
	})
	if err != nil || next != s.last()+1 {
		s.Fatalf("read from %d: up to %d, %v; want up to %d", from, next-1, err, s.last())
	}
}

func testLogEmpty(s *logSuite) {
	s.reopen()
	s.trim(s.last())
	s.reopen()
	s.append(1)
	s.reopen()
}

func testLogEntries(s *logSuite) {
	for _, size := range []int{1, 37, 63, 64, 65, 500, 4095, 4096, 4097, 70_000, 1} {
		s.append(size)
	}
	for range 3 {
		s.reopen()
		s.append(100)
	}
	s.reopen()
}

// testLogOwnBytes: the log keeps no reference to what it was given.
func testLogOwnBytes(s *logSuite) {
	mine := logEntry(s.last()+1, 5000)
	if _, err := s.l.Append(mine); err != nil {
		s.Fatal(err)
	}
	clear(mine)
	s.sizes = append(s.sizes, 5000)
	s.append(10)
	s.reopen()
}

// testLogReadStops: yield's error ends a read and comes back as it is.
func testLogReadStops(s *logSuite) {
	for range 5 {
		s.append(100)
	}
	s.l = s.reopenFunc()
	stop := errors.New("stop")
	calls := 0
	err := s.l.Read(s.first, func(uint64, []byte) error {
		if calls++; calls == 2 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 2 {
		s.Fatalf("read returned %v after %d calls, want the error of the second", err, calls)
	}
	s.append(100)
	s.reopen()
}

func testLogTrim(s *logSuite) {
	for range 300 {
		s.append(20_000)
	}
	for _, n := range []uint64{0, 1, 50, 49, 200, 298} {
		s.trim(s.first + n)
		s.append(300)
		s.reopen()
	}
	// What was trimmed is either still there or an error, never silently left out.
	next := s.first
	err := s.l.Read(s.first, func(seq uint64, _ []byte) error {
		if seq != next {
			return fmt.Errorf("entry %d, want %d", seq, next)
		}
		next++
		return nil
	})
	if err == nil && next != s.last()+1 {
		s.Fatalf("a read of trimmed entries ended at %d without an error", next)
	}
	if next != s.first && next <= s.last() {
		s.Fatalf("a read of trimmed entries gave some and ended at %d with %v", next, err)
	}
}

// testLogTrimAll: a log that was trimmed to its end is empty and goes on counting.
func testLogTrimAll(s *logSuite) {
	for round := range 4 {
		for range 10 * round {
			s.append(10_000)
		}
		s.trim(s.last())
		s.reopen()
		if round%2 == 1 {
			s.reopen()
		}
	}
	s.append(5)
	s.reopen()
}

func testLogLarge(s *logSuite) {
	s.append(replay.MaxEntry)
	s.append(1)
	s.append(replay.MaxEntry - 1)
	s.append(replay.MaxEntry)
	s.append(5 << 20)
	s.reopen()
	s.trim(s.first + 2)
	s.append(replay.MaxEntry)
	s.reopen()
}

// testLogTrimWhileAppending: Trim may run beside Append.
func testLogTrimWhileAppending(s *logSuite) {
	const n = 400
	appended := make(chan uint64, n)
	var wg sync.WaitGroup
	wg.Go(func() {
		for seq := range appended {
			if seq > s.first+5 {
				if err := s.l.Trim(seq - 5); err != nil {
					s.Errorf("trim: %v", err)
				}
			}
		}
	})
	for i := range n {
		s.append(1000 + i*100)
		appended <- s.last()
	}
	close(appended)
	wg.Wait()
	s.keep = s.last() - 4
	s.reopen()
}

func testLogRandom(s *logSuite) {
	for range 400 {
		switch k := s.rng.IntN(100); {
		case k < 80:
			s.append(1 + s.rng.IntN(1<<s.rng.IntN(18)))
		case k < 95 && s.keep <= s.last():
			s.trim(s.keep + s.rng.Uint64N(s.last()-s.keep+1))
		default:
			s.reopen()
		}
	}
	s.reopen()
}
