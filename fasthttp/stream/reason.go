package stream

// Reason says why a stream ended.
type Reason int

const (
	EndClient  Reason = iota // the client closed, half-closed, or sent bytes that nobody asked for
	EndWrite                 // a write failed
	EndSlow                  // the client did not take a piece within the write timeout
	EndGone                  // the slot was removed
	EndBlocked               // the operator blocked the slot
	EndToken                 // the token that let it in was revoked or replaced, or is over
	EndDrain                 // the relay stops
	EndCap                   // it gave way to another client's, when there were as many as there may be
	EndLoad                  // what comes next could not be read from the store
	EndPanic                 // a fault on its path

	Reasons // how many there are
)

var reasonNames = [Reasons]string{"client", "write_error", "slow", "gone", "blocked", "token", "drain", "cap", "load_error", "panic"}

// String returns the reason's name, the label of its metric.
func (r Reason) String() string { return reasonNames[r] }
