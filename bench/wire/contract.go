package wire

// A post's event stands between these.
const (
	PostOpen  = `{"event":`
	PostClose = `}`
)

// EmptyPage is the answer to a pull that finds nothing new.
var EmptyPage = []byte("[]")
