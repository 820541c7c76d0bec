package stats

// Operators is what the operators' listener shows of itself.
type Operators struct {
	Connections, MaxConnections func() int64
	WrongTokens                 func() uint64
	AcceptErrors                func(show Show) // by error
}
