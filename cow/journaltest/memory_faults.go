package journaltest

import (
	"sync"

	"cowrelay/cow"
)

type failure struct {
	outcome cow.Outcome
	stored  bool
}

type hold struct {
	entered, released chan struct{}
	enter, release    sync.Once
}

// FailNext makes the next group that no earlier call claimed answer outcome.
// With stored it is stored all the same (as far as its version allows): only
// Unknown makes sense there.
func (m *Memory) FailNext(outcome cow.Outcome, stored bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures = append(m.failures, failure{outcome, stored})
}

// Hold lets no Commit store anything until release is called. entered is
// closed when the first one waits.
func (m *Memory) Hold() (entered <-chan struct{}, release func()) {
	h := &hold{entered: make(chan struct{}), released: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hold != nil {
		panic("BUG: held already")
	}
	m.hold = h
	return h.entered, func() {
		m.mu.Lock()
		if m.hold == h {
			m.hold = nil
		}
		m.mu.Unlock()
		h.release.Do(func() { close(h.released) })
	}
}

// OnLoad has hook called at the start of each Load, which fails with its
// error. The hook may block. nil removes it.
func (m *Memory) OnLoad(hook func(slot cow.ID, from uint64) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loadHook = hook
}

// OnLoaded has hook called in each Load, when it has seen what there is and has given
// nothing yet. The hook may block. nil removes it.
func (m *Memory) OnLoaded(hook func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loaded = hook
}

// Commits returns the number of calls of Commit that have stored or refused.
func (m *Memory) Commits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commits
}

// Loads returns the number of calls of Load.
func (m *Memory) Loads() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loads
}
