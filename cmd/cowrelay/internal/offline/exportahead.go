package offline

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"cowrelay/cow"
)

// aheadSlots are small slots that were asked for in one request: most slots are
// small, and a request for each of 200,000 takes a minute.
type aheadSlots struct {
	list []exportSlot      // all, by id
	got  map[cow.ID][]byte // lines of events, whole
	to   cow.ID            // asked for up to here
}

// A slot of so many events is small, and so many are asked for at once; the
// relay leaves out what makes its reply too long.
const (
	aheadEvents = 100
	aheadMost   = 256
	aheadBytes  = 16 << 20
)

// lookAhead returns the lines of a small slot. Where it returns nil the slot has
// to be asked for by itself, which then says why.
func (r *relaySource) lookAhead(ctx context.Context, s exportSlot) []byte {
	a := &r.ahead
	if s.count > aheadEvents {
		return nil
	}
	if bytes.Compare(s.id[:], a.to[:]) > 0 {
		a.got, a.to = nil, s.id
		at, _ := slices.BinarySearchFunc(a.list, s, byID)
		var of strings.Builder
		for n := 0; at < len(a.list) && n < aheadMost; at++ {
			if next := a.list[at]; next.count > 0 && next.count <= aheadEvents {
				of.WriteString("," + next.id.String() + "-" + strconv.FormatUint(next.count, 10))
				a.to = next.id
				n++
			}
		}
		if res, err := r.Open(ctx, "GET", "/admin/v1/events?of="+of.String()[1:], nil); err == nil {
			body, _ := io.ReadAll(io.LimitReader(res.Body, aheadBytes)) // of a part, what is whole is good
			res.Body.Close()
			a.got = wholeSlots(body)
		}
	}
	lines := a.got[s.id]
	if uint64(bytes.Count(lines, []byte{'\n'})) != s.count {
		return nil
	}
	return lines
}

// wholeSlots takes a reply apart: for each slot a line that counts its events,
// and these.
func wholeSlots(body []byte) map[cow.ID][]byte {
	got := make(map[cow.ID][]byte)
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
		got[s.id], body = rest[:end], rest[end:]
	}
}
