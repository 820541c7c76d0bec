package wire

// A post's event stands between these.
const (
	PostOpen  = `{"event":`
	PostClose = `}`
)

// Content types of posts: one event in its wrapper, or an event a line.
const (
	OneEvent   = "application/json"
	EventLines = "application/x-ndjson"
)

// BatchBytesMax is how many bytes of events a post of several may have.
const BatchBytesMax = 512 << 10

// EmptyPage is the answer to a pull that finds nothing new.
var EmptyPage = []byte("[]")
