package relaytest

import (
	"bytes"
	"fmt"
	"strconv"
)

// EventID returns the id of an event that begins with it, as all of the tests'
// events do.
func EventID(event []byte) string {
	rest, ok := bytes.CutPrefix(event, []byte(`{"event_id":"`))
	id, _, ok2 := bytes.Cut(rest, []byte{'"'})
	if !ok || !ok2 {
		return ""
	}
	return string(id)
}

// Event is the n-th event of a writer; all of it follows from the
// arguments, so that a reader can check every byte.
func Event(writer string, n, size int) []byte {
	b := make([]byte, 0, size+64)
	b = fmt.Appendf(b, `{"event_id":"%s-%d","kind":1,"body":"`, writer, n)
	x := uint64(n)
	for _, c := range writer {
		x = x*31 + uint64(c)
	}
	for len(b) < size-2 { // nothing that compresses
		x = x*6364136223846793005 + 1442695040888963407
		b = append(strconv.AppendUint(b, x, 36), ' ')
	}
	return append(b, `"}`...)
}

// PostBody is the body of a post of an event.
func PostBody(event []byte) []byte { return fmt.Appendf(nil, `{"event":%s}`, event) }
