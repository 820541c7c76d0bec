package admin

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/refusal"

	"github.com/go-json-experiment/json/jsontext"
)

var noHandle = &refusal.Reply{Status: http.StatusNotFound, Text: "no such handle"}

// handleInfo is what operators see of a handle. One without a DID has a record that
// can't be read.
type handleInfo struct {
	Nick      string         `json:"nick"`
	DID       string         `json:"did"`
	Slot      string         `json:"slot_id"`
	SlotGone  bool           `json:"slot_gone"`
	RelayURL  *string        `json:"relay_url"`
	Listed    bool           `json:"listed"` // the directory shows it
	ClaimedAt int64          `json:"claimed_at_unix"`
	Address   *string        `json:"address"` // that it was claimed from first; null: not known, or this machine's
	Card      jsontext.Value `json:"card,omitzero"`
}

func describeHandle(r *attached, h *rendezvous.Handle) handleInfo {
	info := handleInfo{
		Nick: h.Nick, DID: h.DID, Slot: h.Slot.String(), SlotGone: r.store.Slot(h.Slot) == nil,
		Listed: h.DID != "" && h.Listed(), ClaimedAt: h.ClaimedAt.Unix(), Address: addressOf(h.By),
	}
	if h.RelayURL != "" {
		info.RelayURL = &h.RelayURL
	}
	return info
}

// addressOf is where a source is, nil for this machine.
func addressOf(by rendezvous.Source) *string {
	if by == 0 {
		return nil
	}
	text := accept.Client(by).String()
	return &text
}

var errListed = &refusal.Reply{Status: http.StatusBadRequest,
	Text: "bad query: limit is a whole number from 1 to 1000; address is an address that is not this machine's, or a /64 of IPv6"}

// listed reads the query of a list: how many are asked for, and which sources.
func listed(q url.Values) (limit int, match func(rendezvous.Source) bool, err error) {
	limit, err = strconv.Atoi(cmp.Or(q.Get("limit"), "100"))
	if err != nil || limit < 1 || limit > maxListed {
		return 0, nil, errListed
	}
	address := q.Get("address")
	if address == "" {
		return limit, func(rendezvous.Source) bool { return true }, nil
	}
	client, err := accept.ParseClient(address)
	if err != nil {
		return 0, nil, errListed
	}
	return limit, func(by rendezvous.Source) bool { return by == rendezvous.Source(client) }, nil
}

func (s *Server) listHandles(r *attached, w http.ResponseWriter, req *http.Request) error {
	q := req.URL.Query()
	limit, match, err := listed(q)
	if err != nil {
		return err
	}
	list, matching := r.Desk().Handles.After(q.Get("after"), match, limit)
	infos := make([]handleInfo, len(list))
	for i := range list {
		infos[i] = describeHandle(r, &list[i])
	}
	return replyJSON(w, http.StatusOK, struct {
		Matching int          `json:"matching"` // behind the nick, of which the list has the first
		Handles  []handleInfo `json:"handles"`
	}{matching, infos})
}

func (s *Server) inspectHandle(r *attached, w http.ResponseWriter, req *http.Request) error {
	h, _, err := r.Desk().Handles.Lookup(req.PathValue("nick"))
	if errors.Is(err, rendezvous.ErrNoHandle) {
		return noHandle
	}
	if err != nil {
		return err
	}
	info := describeHandle(r, &h)
	info.Card = jsontext.Value(h.Card)
	return replyJSON(w, http.StatusOK, info)
}

func (s *Server) dropHandle(r *attached, w http.ResponseWriter, req *http.Request) error {
	err := r.Desk().Handles.Drop(req.PathValue("nick"))
	if errors.Is(err, rendezvous.ErrNoHandle) {
		err = noHandle
	}
	if s.acted(req, "unclaim handle", req.PathValue("nick"), err) != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
