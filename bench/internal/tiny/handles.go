package tiny

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
)

// claim keeps the nick and checks nothing.
func (r *relay) claim(w http.ResponseWriter, q *http.Request) {
	b, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	var body struct {
		Nick string
		Card struct{ DID string }
	}
	if json.Unmarshal(b, &body) != nil || body.Card.DID == "" {
		Answer(w, 400, []byte(`{"error":"bad"}`))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	status := "re-claimed"
	if at, there := slices.BinarySearch(r.nicks, body.Nick); !there {
		r.nicks, status = slices.Insert(r.nicks, at, body.Nick), "claimed"
	}
	if r.fault == "claim" && status == "re-claimed" {
		body.Nick = "somebody-else"
	}
	reply, _ := json.Marshal(map[string]string{"nick": body.Nick, "did": body.Card.DID, "status": status})
	Answer(w, 201, reply)
}

// handles answers a page of nicks.
func (r *relay) handles(w http.ResponseWriter, q *http.Request) {
	type handle struct {
		Nick string `json:"nick"`
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at, there := slices.BinarySearch(r.nicks, q.FormValue("cursor"))
	if there {
		at++
	}
	page := []handle{}
	for _, nick := range r.nicks[at:min(at+100, len(r.nicks))] {
		page = append(page, handle{nick})
	}
	if r.fault == "page" {
		page = page[1:]
	}
	reply, _ := json.Marshal(map[string]any{"handles": page, "next_cursor": nil})
	Answer(w, 200, reply)
}
