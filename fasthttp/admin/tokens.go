package admin

import (
	"net/http"

	"cowrelay/fasthttp/keys"
)

// setOwner gives a slot a fresh owner's token, and shows it this once.
func (s *Server) setOwner(r *attached, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	var text string
	if err == nil {
		text, err = r.store.SetOwner(slot)
	}
	if s.acted(req, "set owner", req.PathValue("id"), err) != nil {
		return err
	}
	return replyJSON(w, http.StatusCreated, struct {
		ID    string `json:"slot_id"`
		Owner string `json:"owner_token"`
	}{slot.ID().String(), text})
}

// listTokens shows the further tokens of a slot, without secrets.
func (s *Server) listTokens(r *attached, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	if err != nil {
		return err
	}
	return replyJSON(w, http.StatusOK, keys.List(r.store, slot))
}

// revokeToken takes a further token of a slot back.
func (s *Server) revokeToken(r *attached, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	if err == nil {
		err = keys.Revoke(r.store, slot, req.PathValue("token"))
	}
	if s.acted(req, "revoke token", req.PathValue("id"), err) != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
