package admin

import (
	"net/http"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/refusal"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// slotInfo is what operators see of a slot.
type slotInfo struct {
	ID       string   `json:"slot_id"`
	Events   uint64   `json:"events"`
	First    uint64   `json:"first,omitzero"` // position of the oldest event that is there: so many have left
	Bytes    uint64   `json:"bytes"`
	Streams  int      `json:"streams"` // long polls included
	Hot      bool     `json:"hot"`
	Blocked  bool     `json:"blocked"`
	PulledAt *int64   `json:"last_pull_at_unix"`
	Posts    *float64 `json:"posts_per_second,omitzero"`
}

func describe(slot *cow.Slot) slotInfo {
	id := slot.ID()
	first, end := slot.Positions()
	info := slotInfo{
		ID: id.String(), Events: end - first, First: first, Bytes: slot.Bytes(),
		Streams: slot.Subscribers(), Hot: slot.Hot(), Blocked: slot.Blocked(),
	}
	if at := slot.PulledAt(); at != 0 {
		info.PulledAt = &at
	}
	return info
}

// slotOf finds the slot that the path names.
func slotOf(r *attached, req *http.Request) (*cow.Slot, error) {
	id, ok := cow.ParseID(req.PathValue("id"))
	if !ok {
		return nil, refusal.SlotShape
	}
	slot := r.store.Slot(id)
	if slot == nil {
		return nil, cow.ErrNoSlot
	}
	return slot, nil
}

func (s *Server) deleteSlot(r *attached, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	if err == nil {
		err = r.store.Remove(slot)
	}
	if s.acted(req, "delete slot", req.PathValue("id"), err) != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxReason is the longest reason for a block, in bytes.
const maxReason = 1000

// blockNote is what the store keeps of a block.
type blockNote struct {
	At     int64  `json:"at_unix"`
	Reason string `json:"reason"`
}

func (s *Server) blockSlot(r *attached, w http.ResponseWriter, req *http.Request) error {
	var note blockNote
	err := body(req, &note)
	if err == nil && len(note.Reason) > maxReason {
		err = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "the reason is too long"}
	}
	if err != nil {
		return err
	}
	slot, err := slotOf(r, req)
	if err == nil {
		note.At = time.Now().Unix()
		var record []byte
		if record, err = json.Marshal(note); err == nil {
			err = r.store.Block(slot, record)
		}
	}
	if s.acted(req, "block slot", req.PathValue("id"), err, "reason", note.Reason) != nil {
		return err
	}
	return replyJSON(w, http.StatusOK, describe(slot))
}

func (s *Server) unblockSlot(r *attached, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	if err == nil {
		err = r.store.Unblock(slot)
	}
	if s.acted(req, "unblock slot", req.PathValue("id"), err) != nil {
		return err
	}
	return replyJSON(w, http.StatusOK, describe(slot))
}

func (s *Server) inspectSlot(r *attached, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	if err != nil {
		return err
	}
	health, err := r.store.Health(slot)
	if err != nil {
		return err
	}
	note, err := r.store.BlockNote(slot)
	if err != nil {
		return err
	}
	life, err := s.lifetime(r, slot)
	if err != nil {
		return err
	}
	return replyJSON(w, http.StatusOK, struct {
		slotInfo
		Block    jsontext.Value `json:"block"`
		Health   jsontext.Value `json:"responder_health"`
		Lifetime *lifetime      `json:"lifetime"`
	}{describe(slot), note, health, life})
}
