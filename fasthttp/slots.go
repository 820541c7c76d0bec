package fasthttp

import (
	"bytes"
	"strconv"

	"cowrelay/cow/token"
	"cowrelay/fasthttp/keys"
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
		id, slotToken, owner, err := r.store.Allocate()
		if err != nil {
			return err
		}
		req.reply(fasthttp.StatusCreated, []byte(`{"slot_id":"`+id.String()+`","slot_token":"`+slotToken+`","owner_token":"`+owner+`"}`))
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

// serveTokens lists the further tokens of a slot.
func (r *Relay) serveTokens(req request) error {
	body, err := json.Marshal(keys.List(r.store, req.slot))
	if err == nil {
		req.reply(fasthttp.StatusOK, body)
	}
	return err
}

// serveMakeToken makes a further token of a slot.
func (r *Relay) serveMakeToken(req request) error {
	return r.withJSON(req, fasthttp.StatusCreated, func(body []byte) ([]byte, error) {
		out, err := keys.Make(r.store, req.slot, req.grant, uint64(r.sourceOf(req)), body)
		if err == refusal.Missing(token.Owner) {
			r.countMissing(token.Owner)
		}
		return out, err
	})
}

// serveRevoke takes a further token of a slot back.
func (r *Relay) serveRevoke(req request) error {
	path := pathOf(req.ctx.Request.Header.RequestURI())
	id := string(path[bytes.LastIndexByte(path, '/')+1:])
	if err := r.sure(req, func() error { return keys.Revoke(r.store, req.slot, id) }); err != nil {
		return err
	}
	req.ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// serveRotate gives a slot another slot token.
func (r *Relay) serveRotate(req request) error {
	return r.withJSON(req, fasthttp.StatusCreated, func(body []byte) ([]byte, error) {
		return keys.Rotate(r.store, req.slot, body)
	})
}
