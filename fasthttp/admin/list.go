package admin

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"cowrelay/cow"
	"cowrelay/fasthttp/refusal"
)

// orders are what slots can be listed by, the largest first. nil is the rate of
// posts, which takes two looks.
var orders = map[string]func(*cow.Slot) float64{
	"bytes":   func(s *cow.Slot) float64 { return float64(s.Bytes()) },
	"events":  func(s *cow.Slot) float64 { return float64(s.Count()) },
	"streams": func(s *cow.Slot) float64 { return float64(s.Subscribers()) },
	"pulled":  func(s *cow.Slot) float64 { return float64(s.PulledAt()) },
	"posts":   nil,
}

const (
	defaultListed = 20
	maxListed     = 1000
)

var errList = &refusal.Reply{Status: http.StatusBadRequest,
	Text: "bad query: by is bytes, events, streams, pulled or posts; limit is a whole number from 1 to 1000; blocked and rates are true or false"}

// slotQuery is what a list is asked for.
type slotQuery struct {
	by      string
	limit   int
	blocked bool // blocked slots only
	rates   bool // with posts a second
}

// slotList is a list of slots.
type slotList struct {
	By       string     `json:"by"`
	Matching int        `json:"matching"`         // slots, of which the list has the first
	Over     float64    `json:"seconds,omitzero"` // that rates were measured over
	Slots    []slotInfo `json:"slots"`
}

func (s *Server) listSlots(r *attached, w http.ResponseWriter, req *http.Request) error {
	values := req.URL.Query()
	q := slotQuery{by: cmp.Or(values.Get("by"), "bytes")}
	_, known := orders[q.by]
	var err1, err2, err3 error
	q.limit, err1 = strconv.Atoi(cmp.Or(values.Get("limit"), strconv.Itoa(defaultListed)))
	q.blocked, err2 = strconv.ParseBool(cmp.Or(values.Get("blocked"), "false"))
	q.rates, err3 = strconv.ParseBool(cmp.Or(values.Get("rates"), "false"))
	if !known || errors.Join(err1, err2, err3) != nil || q.limit < 1 || q.limit > maxListed {
		return errList
	}
	list, err := s.firstSlots(req.Context(), r.store, q)
	if err != nil {
		return nil // the client left
	}
	return replyJSON(w, http.StatusOK, list)
}

// firstSlots lists the first of all slots in an order. It looks at every slot and
// keeps only those that it lists.
func (s *Server) firstSlots(ctx context.Context, store *cow.Store, q slotQuery) (*slotList, error) {
	reply := &slotList{By: q.by, Slots: []slotInfo{}}
	value := orders[q.by]
	var rate func(*cow.Slot) float64
	if q.rates || q.by == "posts" {
		measured, seconds, done, err := s.rates.measure(ctx, store)
		if err != nil {
			return nil, err
		}
		defer done()
		rate, reply.Over = measured, seconds
	}
	if q.by == "posts" {
		value = rate
	}
	best := leaders{limit: q.limit}
	store.All(func(slot *cow.Slot) bool {
		if !q.blocked || slot.Blocked() {
			reply.Matching++
			best.offer(ranked{value(slot), slot})
		}
		return true
	})
	for _, e := range best.sorted() {
		info := describe(e.slot)
		if rate != nil {
			posts := rate(e.slot)
			info.Posts = &posts
		}
		reply.Slots = append(reply.Slots, info)
	}
	return reply, nil
}

// ranked is a slot with what it is ranked by.
type ranked struct {
	value float64
	slot  *cow.Slot
}

// before orders by value, the largest first. Equal values are ordered by id, so that
// a list does not change when it is asked for again.
func (e ranked) before(o ranked) int {
	x, y := e.slot.ID(), o.slot.ID()
	return cmp.Or(cmp.Compare(o.value, e.value), bytes.Compare(x[:], y[:]))
}

// leaders keeps the first limit of all that it is offered. It is a heap with the
// last of them at its root.
type leaders struct {
	limit int
	list  []ranked
}

func (l *leaders) Len() int           { return len(l.list) }
func (l *leaders) Less(i, j int) bool { return l.list[i].before(l.list[j]) > 0 }
func (l *leaders) Swap(i, j int)      { l.list[i], l.list[j] = l.list[j], l.list[i] }
func (l *leaders) Push(x any)         { l.list = append(l.list, x.(ranked)) }
func (l *leaders) Pop() any           { return nil } // never needed: the root is replaced

func (l *leaders) offer(e ranked) {
	switch {
	case len(l.list) < l.limit:
		heap.Push(l, e)
	case e.before(l.list[0]) < 0:
		l.list[0] = e
		heap.Fix(l, 0)
	}
}

// sorted returns the list in its order. The leaders are of no use afterwards.
func (l *leaders) sorted() []ranked {
	slices.SortFunc(l.list, ranked.before)
	return l.list
}
