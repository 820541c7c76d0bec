package stats

import "time"

// Operators is what the operators' listener shows of itself.
type Operators struct {
	Connections, MaxConnections func() int64
	WrongTokens                 func() uint64
	AcceptErrors                func(show Show) // by error
	Requests                    func(show Show) // by outcome
}

// NoOperators shows a listener that is not there.
var NoOperators = &Operators{
	Connections:    func() int64 { return 0 },
	MaxConnections: func() int64 { return 0 },
	WrongTokens:    func() uint64 { return 0 },
	AcceptErrors:   func(Show) {},
	Requests: func(show Show) {
		for _, outcome := range []string{"done", "failed", "refused"} {
			show(outcome, 0)
		}
	},
}

// Figures are what the relay says of itself at a moment.
type Figures struct {
	Version         string
	Uptime          time.Duration
	Ready, Draining bool

	Connections, Streams, LongPolls int64 // open now
}
