package fasthttp

import (
	"strconv"

	"cowrelay/fasthttp/refusal"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"
)

// serveAllocate makes a slot.
func (r *Relay) serveAllocate(req request) error {
	return r.withBody(&req, func(body []byte) error {
		var hint *struct {
			Handle *string `json:"handle"`
		}
		if err := refusal.Decode(body, &hint); err != nil {
			return err
		}
		if hint == nil {
			return &refusal.Reply{Status: fasthttp.StatusUnprocessableEntity, Text: "the body has the wrong shape: send {}"}
		}
		id, token, err := r.store.Allocate()
		if err != nil {
			return err
		}
		req.reply(fasthttp.StatusCreated, []byte(`{"slot_id":"`+id.String()+`","slot_token":"`+token+`"}`))
		return nil
	})
}

// serveState says what a slot holds, without its events.
func (r *Relay) serveState(req request) error {
	health, err := r.store.Health(req.slot)
	if err != nil {
		return err
	}
	body := append([]byte(nil), `{"slot_id":"`...)
	body = append(body, req.slot.ID().String()...)
	body = append(body, `","event_count":`...)
	body = strconv.AppendUint(body, req.slot.Count(), 10)
	body = append(body, `,"last_pull_at_unix":`...)
	if at := req.slot.PulledAt(); at != 0 {
		body = strconv.AppendInt(body, at, 10)
	} else {
		body = append(body, "null"...)
	}
	body = append(body, `,"responder_health":`...)
	if health != nil {
		body = append(body, health...)
	} else {
		body = append(body, "null"...)
	}
	req.reply(fasthttp.StatusOK, append(body, '}'))
	return nil
}

// serveHealth keeps what the slot's owner says of itself.
func (r *Relay) serveHealth(req request) error {
	return r.withBody(&req, func(body []byte) error {
		var h *struct {
			Status        *string `json:"status,omitzero"`
			SetAt         *string `json:"set_at,omitzero"`
			Reason        *string `json:"reason,omitzero"`
			LastSuccessAt *string `json:"last_success_at,omitzero"`
		}
		if err := refusal.Decode(body, &h); err != nil {
			return err
		}
		if h == nil || h.Status == nil || h.SetAt == nil {
			return &refusal.Reply{Status: fasthttp.StatusUnprocessableEntity, Text: "status and set_at must be strings"}
		}
		record, err := json.Marshal(h)
		if err != nil {
			return err
		}
		if err := r.store.SetHealth(req.slot, record); err != nil {
			return err
		}
		req.reply(fasthttp.StatusOK, record)
		return nil
	})
}

// serveDelete removes a slot with its events.
func (r *Relay) serveDelete(req request) error {
	if err := r.store.Remove(req.slot); err != nil {
		return err
	}
	req.ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}
