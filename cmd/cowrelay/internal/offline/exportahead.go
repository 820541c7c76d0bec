package offline

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"cowrelay/cow"
)

// aheadSlots are the events of small slots that were asked for together. Most slots
// are small, and one request for each of 200,000 slots takes a minute.
type aheadSlots struct {
	list []exportSlot          // all slots, ordered by id
	got  map[exportSlot][]byte // lines of events of the slots of the last reply that were whole
	to   cow.ID                // the last slot that was asked for
}

const (
	aheadEvents = 100      // a slot of at most so many events is small
	aheadMost   = 256      // slots of one request
	aheadBytes  = 16 << 20 // of a reply; the relay leaves out slots that would make it longer
)

// lines returns the lines of a small slot, nil for one that has to be asked for by
// itself. An error is nil too: that request then says why. open asks the relay.
func (a *aheadSlots) lines(s exportSlot, open func(path string) (io.ReadCloser, error)) []byte {
	if s.count > aheadEvents {
		return nil
	}
	if bytes.Compare(s.id[:], a.to[:]) > 0 {
		a.got = nil
		if res, err := open("/admin/v1/events?of=" + a.next(s)); err == nil {
			body, _ := io.ReadAll(io.LimitReader(res, aheadBytes)) // what is whole in a part is good
			res.Close()
			a.got = wholeSlots(body)
		}
	}
	lines := a.got[s] // none if events have left meanwhile
	if uint64(bytes.Count(lines, []byte{'\n'})) != s.count {
		return nil
	}
	return lines
}

// next names s and the small slots behind it, each with its count, as many as one
// request asks for.
func (a *aheadSlots) next(s exportSlot) string {
	a.to = s.id
	at, _ := slices.BinarySearchFunc(a.list, s, byID)
	var names []string
	for ; at < len(a.list) && len(names) < aheadMost; at++ {
		if next := a.list[at]; next.count > 0 && next.count <= aheadEvents {
			names = append(names, next.id.String()+"-"+strconv.FormatUint(next.count, 10))
			a.to = next.id
		}
	}
	return strings.Join(names, ",")
}

// wholeSlots takes a reply apart: for each slot a line with its count, and its
// events, one a line. It ends at the first slot that is not whole.
func wholeSlots(body []byte) map[exportSlot][]byte {
	got := make(map[exportSlot][]byte)
	for {
		head, rest, ok := bytes.Cut(body, []byte{'\n'})
		var v slotCount
		s, err := v.slot(json.Unmarshal(head, &v))
		if !ok || err != nil || s.count > aheadEvents {
			return got
		}
		end := 0
		for range s.count {
			n := bytes.IndexByte(rest[end:], '\n')
			if n < 0 {
				return got
			}
			end += n + 1
		}
		got[s], body = rest[:end], rest[end:]
	}
}
