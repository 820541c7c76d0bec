package pullers

// Command is the hidden subcommand under which a program that loads relays must
// call Run: the pullers are that program, started again.
const Command = "load-pullers"

// A Task is the first line on the standard input. It has the token, which does
// not belong on the command line: all users of the machine can read that.
type Task struct {
	Addr       string `json:"addr"`
	Prefix     string `json:"prefix"`
	Header     string `json:"header"`
	Side       string `json:"side"`
	Slot       string `json:"slot"`
	Token      string `json:"token"`
	Nonce      string `json:"nonce"`
	EventBytes int    `json:"event_bytes"`
	Count      int    `json:"count"` // how many events the slot has
	Page       int    `json:"page"`
	Pullers    int    `json:"pullers"`
	Procs      int    `json:"procs"` // cores that it runs on
	Nice       int    `json:"nice"`  // see nice(1)
	// Batch, if not 0, is how many events each request posts: then the process
	// pulls nothing. Each of its Pullers posts batches to slots of its own.
	Batch int `json:"batch,omitempty"`
}

// An Order is each later line.
type Order struct {
	Do   string  `json:"do"`             // "start", "report" or "stop"
	Rate float64 `json:"rate,omitempty"` // requests a second; 0: they never rest
}

// A Report answers the task, once the slot was read and was right, and then
// each order. It counts from the last start.
type Report struct {
	Pulls      int64  `json:"pulls"` // windows that were taken, or batches that were posted
	Errors     int64  `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	CPUMicros  int64  `json:"cpu_us"` // CPU time of the process since its own start
}
