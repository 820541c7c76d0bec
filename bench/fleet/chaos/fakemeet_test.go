package chaos

import (
	"encoding/json"
	"net/http"
)

// operate adds blocks, responder health, pairs and totals.
func (f *fake) operate(m *http.ServeMux, relay int) {
	block := func(to bool, breach string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if s := f.slots[r.PathValue("slot")]; !f.breaks(breach, 2) {
				s.blocked = to
			}
			reply(w, 200, 1)
		}
	}
	m.HandleFunc("POST /admin/v1/slots/{slot}/block", block(true, "blocks do not hold"))
	m.HandleFunc("POST /admin/v1/slots/{slot}/unblock", block(false, "blocks stay"))
	m.HandleFunc("POST /v1/slot/{slot}/responder-health", func(w http.ResponseWriter, r *http.Request) {
		s := f.slot(w, r, false)
		if s == nil {
			return
		}
		defer f.mu.Unlock()
		var b struct{ Status string }
		_ = json.NewDecoder(r.Body).Decode(&b)
		if !f.breaks("health stays", 2) {
			s.health = b.Status
		}
		reply(w, 200, 1)
	})
	m.HandleFunc("GET /v1/slot/{slot}/state", func(w http.ResponseWriter, r *http.Request) {
		s := f.slot(w, r, false)
		if s == nil {
			return
		}
		defer f.mu.Unlock()
		if s.health == "" {
			reply(w, 200, map[string]any{"responder_health": nil})
			return
		}
		reply(w, 200, map[string]any{"responder_health": map[string]string{"status": s.health}})
	})
	m.HandleFunc("POST /v1/pair", func(w http.ResponseWriter, r *http.Request) {
		var b struct {
			Code      string `json:"code_hash"`
			Msg, Role string
		}
		_ = json.NewDecoder(r.Body).Decode(&b)
		f.mu.Lock()
		defer f.mu.Unlock()
		p := f.pairs[b.Code]
		if p == nil {
			p = map[string]string{}
			f.pairs[b.Code] = p
			f.totals.Pairs++
		}
		if p[b.Role] != "" && !f.breaks("a side comes twice", 2) {
			reply(w, 409, 1)
			return
		}
		p[b.Role] = b.Msg
		id := b.Code
		if f.breaks("sides miss each other", 2) {
			id += "-other"
		}
		reply(w, 201, map[string]string{"pair_id": id})
	})
	m.HandleFunc("GET /v1/pair/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		other := map[string]string{"host": "guest", "guest": "host"}[r.URL.Query().Get("as_role")]
		p := f.pairs[r.PathValue("id")]
		switch {
		case p == nil:
			reply(w, 404, 1)
		case p[other] == "" || f.breaks("sides see nothing", 2):
			reply(w, 200, map[string]any{"peer_msg": nil})
		default:
			reply(w, 200, map[string]string{"peer_msg": p[other]})
		}
	})
	m.HandleFunc("GET /stats.json", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		t := f.totals
		if relay == 1 && len(f.slots) > 0 && f.breaks("counts differ", 1) {
			t.Claims++
		}
		reply(w, 200, t)
	})
}
