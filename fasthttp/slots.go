package fasthttp

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/retention"
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
			Slot   *int64  `json:"ttl_seconds"`
			Event  *int64  `json:"event_ttl_seconds"`
		}
		if err := refusal.Decode(body, &hint); err != nil {
			return err
		}
		if hint == nil {
			return &refusal.Reply{Status: fasthttp.StatusUnprocessableEntity, Text: "the body has the wrong shape: send {}"}
		}
		var life cow.Lifetime
		var err error
		if life.Slot, err = lifetime("ttl_seconds", hint.Slot, retention.MinSlot, r.opts.SlotTTL); err != nil {
			return err
		}
		if life.Event, err = lifetime("event_ttl_seconds", hint.Event, retention.MinEvent, r.opts.EventTTL); err != nil {
			return err
		}
		id, slotToken, owner, err := r.store.AllocateFor(life)
		if err != nil {
			return err
		}
		req.reply(fasthttp.StatusCreated, []byte(`{"slot_id":"`+id.String()+`","slot_token":"`+slotToken+`","owner_token":"`+owner+`"}`))
		return nil
	})
}

// lifetime checks what a client asks for against the operator's bound. 0 is as long as the
// operator says.
func lifetime(name string, seconds *int64, least, most time.Duration) (time.Duration, error) {
	if seconds == nil || *seconds == 0 {
		return 0, nil
	}
	if most == 0 {
		most = retention.Max
	}
	low, high := int64(min(least, most)/time.Second), int64(most/time.Second)
	if *seconds < low || *seconds > high {
		return 0, &refusal.Reply{Status: fasthttp.StatusBadRequest, Text: fmt.Sprintf("%s is from %d to %d at this relay, or 0 for as long as it says", name, low, high)}
	}
	return time.Duration(*seconds) * time.Second, nil
}

// appendSeconds appends how long something is kept: as the slot says, or else the
// operator. What is for ever has no field, as it was before there was an end.
func appendSeconds(body []byte, field string, own, operator time.Duration) []byte {
	kept, _ := retention.Bound(own, operator)
	if kept == 0 {
		return body
	}
	return strconv.AppendInt(append(body, field...), int64(kept/time.Second), 10)
}

// serveState says what a slot holds, without its events.
func (r *Relay) serveState(req request) error {
	health, err := r.store.Health(req.slot)
	if err != nil {
		return err
	}
	life, err := r.store.Lifetime(req.slot.ID())
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
	body = appendSeconds(body, `,"ttl_seconds":`, life.Slot, r.opts.SlotTTL)
	body = appendSeconds(body, `,"event_ttl_seconds":`, life.Event, r.opts.EventTTL)
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
