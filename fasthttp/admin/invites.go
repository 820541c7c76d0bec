package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"

	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/refusal"
)

var (
	noInvite   = &refusal.Reply{Status: http.StatusNotFound, Text: "no such invite"}
	inviteOver = &refusal.Reply{Status: http.StatusGone, Text: "the invite is over already"}
	whichOne   = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "give the id of an invite, or its token"}
)

// inviteID names an invite to operators. Its token would let them use it, and a
// plain hash would give a short token away. So ids depend on a key that ends with
// the process.
func (s *Server) inviteID(token string) string {
	mac := hmac.New(sha256.New, s.inviteKey[:])
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// inviteInfo is what operators see of an invite.
type inviteInfo struct {
	ID      string  `json:"id"`
	Created int64   `json:"created_unix"`
	Expires int64   `json:"expires_unix"`
	Uses    *int64  `json:"uses_remaining"`
	Address *string `json:"address"` // that it was registered from; null: not known, or this machine's
}

func (s *Server) listInvites(r *attached, w http.ResponseWriter, req *http.Request) error {
	limit, match, err := listed(req.URL.Query())
	if err != nil {
		return err
	}
	list, matching, err := r.Desk().Invites.Live(func(_ string, by rendezvous.Source) bool { return match(by) }, limit)
	if err != nil {
		return err
	}
	infos := make([]inviteInfo, len(list))
	for i, v := range list {
		infos[i] = inviteInfo{s.inviteID(v.Token), v.Created.Unix(), v.Expires.Unix(), v.Uses, addressOf(v.By)}
	}
	return replyJSON(w, http.StatusOK, struct {
		Matching int          `json:"matching"`
		Invites  []inviteInfo `json:"invites"`
	}{matching, infos})
}

func (s *Server) revokeInvite(r *attached, w http.ResponseWriter, req *http.Request) error {
	var which struct {
		ID    string `json:"id"`
		Token string `json:"token"`
	}
	if err := body(req, &which); err != nil {
		return err
	}
	if (which.ID == "") == (which.Token == "") {
		return whichOne
	}
	token, id := which.Token, which.ID
	if id == "" {
		id = s.inviteID(token)
	} else {
		list, _, err := r.Desk().Invites.Live(func(t string, _ rendezvous.Source) bool { return s.inviteID(t) == id }, 1)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			token = list[0].Token
		}
	}
	err := r.Desk().Invites.Revoke(token)
	switch {
	case errors.Is(err, rendezvous.ErrNoInvite):
		err = noInvite
	case errors.Is(err, rendezvous.ErrInviteGone):
		err = inviteOver
	}
	if s.acted(req, "revoke invite", id, err) != nil {
		return err
	}
	return replyJSON(w, http.StatusOK, map[string]string{"revoked": id})
}
