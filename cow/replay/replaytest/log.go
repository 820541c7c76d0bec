package replaytest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"cowrelay/cow/replay"
)

// Log is a log in memory. What Append has taken is durable. NewLog makes it; it must
// not be copied.
type Log struct {
	Faults
	mu      sync.Mutex
	base    uint64   // number of the last entry that is not kept; guarded by mu
	entries [][]byte // guarded by mu; entries never change
	closed  bool     // guarded by mu
}

var _ replay.Log = (*Log)(nil)

// NewLog returns an empty log that begins behind entry base.
func NewLog(base uint64) *Log { return &Log{base: base} }

// Append implements replay.Log.
func (l *Log) Append(entry []byte) (seq uint64, err error) {
	err = l.run(Append, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.closed {
			return errors.New("BUG: append to a closed log")
		}
		l.entries = append(l.entries, bytes.Clone(entry))
		seq = l.base + uint64(len(l.entries))
		return nil
	})
	return seq, err
}

// Read implements replay.Log. When yield has returned, the bytes it was given are
// overwritten.
func (l *Log) Read(from uint64, yield func(seq uint64, entry []byte) error) error {
	l.mu.Lock()
	base, entries := l.base, l.entries
	l.mu.Unlock()
	if from <= base {
		return fmt.Errorf("entry %d was trimmed", from)
	}
	for i := from - base - 1; i < uint64(len(entries)); i++ {
		entry := bytes.Clone(entries[i])
		err := yield(base+i+1, entry)
		clear(entry)
		if err != nil {
			return err
		}
	}
	return nil
}

// Last implements replay.Log.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base + uint64(len(l.entries))
}

// Len is how many entries the log keeps.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// Trim implements replay.Log. It keeps nothing that it need not.
func (l *Log) Trim(seq uint64) error {
	return l.run(Trim, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if seq > l.base+uint64(len(l.entries)) {
			return fmt.Errorf("BUG: trim up to %d, the log ends at %d", seq, l.base+uint64(len(l.entries)))
		}
		if seq > l.base {
			l.entries = l.entries[seq-l.base:]
			l.base = seq
		}
		return nil
	})
}

// Close implements replay.Log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("BUG: closed twice")
	}
	l.closed = true
	return nil
}

// Reopen returns the log as a next process finds it, also after a crash: without
// hooks. The old one may go on, and the new one does not see what it does.
func (l *Log) Reopen() *Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := NewLog(l.base)
	n.entries = l.entries[:len(l.entries):len(l.entries)]
	return n
}

// Change replaces an entry that the log keeps, as damage would, or drops it with all
// behind it if entry is nil.
func (l *Log) Change(seq uint64, entry []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := seq - l.base - 1
	if entry == nil {
		l.entries = l.entries[:i:i]
		return
	}
	l.entries = append([][]byte(nil), l.entries...)
	l.entries[i] = entry
}
