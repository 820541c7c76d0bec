package wire

const (
	PostOpen  = `{"event":`
	PostClose = `}`
)

var EmptyPage = []byte("[]")
