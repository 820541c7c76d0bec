package stats

import "time"

// Operators is what the operators' listener shows of itself.
type Operators struct {
	Connections, MaxConnections func() int64
	WrongTokens                 func() uint64
	AcceptErrors                func(show Show) // by error
	Requests                    func(show Show) // by outcome
	Backups                     func() Backups
}

// Backups is what is known of backups of this relay since its start.
type Backups struct {
	Last        time.Time // when the newest one was whole; zero: there was none
	Bytes, Sent int64     // of that one: all files, and those that were not there from an earlier one
	Took        time.Duration
	Failures    uint64
}

// BackupFamilies are the metrics of backups.
func BackupFamilies(shown func() *Operators) []Family {
	of := func() Backups { return shown().Backups() }
	return []Family{
		Gauge("cowrelay_backup_last_success_timestamp_seconds", "When the newest backup was whole, in seconds since 1970; 0: none was since the start.", func() int64 {
			if last := of().Last; !last.IsZero() {
				return last.Unix()
			}
			return 0
		}),
		Gauge("cowrelay_backup_last_bytes", "Size of that backup, with what it shares with earlier ones.", func() int64 { return of().Bytes }),
		Gauge("cowrelay_backup_last_sent_bytes", "What was sent for it: the rest was there from earlier ones.", func() int64 { return of().Sent }),
		Seconds("cowrelay_backup_last_duration_seconds", "How long it took.", func() time.Duration { return of().Took }),
		Counter("cowrelay_backup_failures_total", "Backups that failed: the relay could not give a copy, it was not read to its end, or could not be kept.", func() uint64 { return of().Failures }),
	}
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
	Backups: func() Backups { return Backups{} },
}

// Figures are what the relay says of itself at a moment.
type Figures struct {
	Version         string
	Uptime          time.Duration
	Ready, Draining bool

	Connections, Streams, LongPolls int64 // open now
}
