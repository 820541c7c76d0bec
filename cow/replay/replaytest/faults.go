package replaytest

import "errors"

// ErrInjected is what a test may make a call fail with.
var ErrInjected = errors.New("replaytest: injected failure")

// Call names a call that a test can hold up or make fail.
type Call string

// Calls of a Log and a Store that change something.
const (
	Append Call = "append"
	Trim   Call = "trim"
	Apply  Call = "apply"
	Flush  Call = "flush"
	Join   Call = "join" // JoinLog and LeaveLog
)

// Faults are hooks of a Log or a Store. They must be set before the first call. A hook
// may block. The zero value does nothing.
type Faults struct {
	// Before runs first. If it returns an error, the call does nothing and returns it.
	Before func(Call) error
	// After runs when the call has done its work. Its error is that of the call.
	After func(Call) error
}

func (f *Faults) run(c Call, do func() error) error {
	if f.Before != nil {
		if err := f.Before(c); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if f.After != nil {
		return f.After(c)
	}
	return nil
}
