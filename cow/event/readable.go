package event

import "bytes"

// Readable is the door for events that another relay has stored, and that clients
// may have in their mailboxes already. It reads a line of a file, which is the
// event and nothing else. It takes what Accept takes, and one thing more: an event
// that repeats a key at its top level. All parsers keep the last of them, and so
// does Readable for event_id. Whatever else Accept refuses would block a mailbox,
// or is more than the relay keeps of an event.
//
// Appending to dst and errors are as with Accept, but that an offset counts from
// the begin of the line. room is reused memory and may be nil; it is returned as
// it has grown. strict says whether Accept takes the event too.
func Readable(dst, line, room []byte) (ev Event, out, roomOut []byte, strict bool, err error) {
	const head = `{"event":`
	line = bytes.Trim(line, " \t\r\n")
	room = append(append(append(room[:0], head...), line...), '}')
	a := acceptors.Get().(*acceptor)
	a.reset(dst, room)
	a.walk.lenient = true
	fault := a.accept()
	// A line such as {},"event":{} must not pass as two parts of a body.
	if w := &a.walk; fault == nil && w.ended != len(room)-1 {
		fault = w.syntax("data after the event")
	}
	if fault != nil {
		fault.Offset = min(max(fault.Offset-len(head), 0), len(line))
		out, err = dst, fault
	} else {
		out = a.walk.dst
		ev = Event{JSON: out[len(dst):], IDOff: uint32(a.walk.idOff)}
		strict = !a.walk.repeated
	}
	a.reset(nil, nil)
	acceptors.Put(a)
	return ev, out, room, strict, err
}
