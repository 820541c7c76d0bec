package pullers

// Command is the hidden subcommand under which a binary that uses this
// package must call RunLoader: the pullers of saturation are a process of
// their own. In the generator's they would hold up its posters, and what is
// measured at these would be the generator's own scheduler.
const Command = "load-pullers"

// A Task is the first line on a loader's standard input. The token does
// not stand on the command line, where all users of the machine see it.
type Task struct {
	Addr       string `json:"addr"`
	Prefix     string `json:"prefix"`
	Header     string `json:"header"`
	Side       string `json:"side"`
	Slot       string `json:"slot"`
	Token      string `json:"token"`
	Nonce      string `json:"nonce"`
	EventBytes int    `json:"event_bytes"`
	Count      int    `json:"count"` // events of the slot
	Page       int    `json:"page"`
	Pullers    int    `json:"pullers"`
	Procs      int    `json:"procs"` // cores that it runs on
	Nice       int    `json:"nice"`  // how far below the others it stands
}

// A Order is each later line.
type Order struct {
	Do   string  `json:"do"`             // "start", "report" or "stop"
	Rate float64 `json:"rate,omitempty"` // pulls a second; 0: pullers never rest
}

// A Report answers the task, when the slot was read and all of it was
// right, and then each order. Its counts begin with the last start.
type Report struct {
	Pulls      int64  `json:"pulls"`
	Errors     int64  `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	CPU        int64  `json:"cpu_us"` // of the process, since its own start
}
