package replay

// Log is a durable sequence of entries, numbered without gaps. Append and Trim run
// one at a time each; Read runs before the first Append.
type Log interface {
	LogReader
	// Append writes an entry behind the last one and returns its number. On return
	// the entry is as durable as the log's sync mode wants. The log keeps no
	// reference to it. After an error nothing is known of the entry, and the log
	// can't be used.
	Append(entry []byte) (seq uint64, err error)
	// Trim says that entries up to seq are not needed any more. The log may keep them.
	Trim(seq uint64) error
	// Close makes everything durable. No other call may run or follow.
	Close() error
}

// LogReader is what the start of a journal, or a Reader, needs of a log.
type LogReader interface {
	// Read calls yield for each entry from number from on, in order. The entry is
	// valid during the call. An entry that the log should hold and can't give is an
	// error that says what is damaged.
	Read(from uint64, yield func(seq uint64, entry []byte) error) error
	// Last is the number of the newest entry, also of one that was trimmed.
	Last() uint64
	// Close gives the log back. No other call may run or follow.
	Close() error
}
