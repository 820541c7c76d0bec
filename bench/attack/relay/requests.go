package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"cowrelay/bench/attack/client"
)

// Allocate makes a slot.
func (r *Process) Allocate(ctx context.Context, c *http.Client) (s client.Slot, err error) {
	b, err := client.Send(ctx, c, "POST", "http://"+r.Addr+"/v1/slot/allocate", "", []byte("{}"), 201)
	if err != nil {
		return s, fmt.Errorf("cannot allocate a slot: %w", err)
	}
	if err = json.Unmarshal(b, &s); err == nil && (s.ID == "" || s.Token == "") {
		err = errors.New("no id or no token")
	}
	return s, err
}

// EventsURL is where the events of a slot are.
func (r *Process) EventsURL(s client.Slot) string { return "http://" + r.Addr + "/v1/events/" + s.ID }

// Post posts an event. It must be stored, or be there already.
func (r *Process) Post(ctx context.Context, c *http.Client, s client.Slot, event []byte) error {
	body := append(append([]byte(`{"event":`), event...), '}')
	_, err := client.Send(ctx, c, "POST", r.EventsURL(s), s.Token, body, 201, 200)
	return err
}

// Pull returns the events after the one whose id is since.
func (r *Process) Pull(ctx context.Context, c *http.Client, s client.Slot, since string, limit, wait int) ([]json.RawMessage, error) {
	url := fmt.Sprintf("%s?since=%s&limit=%d", r.EventsURL(s), since, limit)
	if wait > 0 {
		url += fmt.Sprintf("&wait=%d", wait)
	}
	b, err := client.Send(ctx, c, "GET", url, s.Token, nil, 200)
	if err != nil {
		return nil, err
	}
	var page []json.RawMessage
	if err := json.Unmarshal(b, &page); err != nil {
		return nil, fmt.Errorf("a page of %d bytes: %w", len(b), err)
	}
	return page, nil
}

// Act does something that an operator does.
func (r *Process) Act(ctx context.Context, method, path, body string) ([]byte, error) {
	return client.Send(ctx, client.Fresh, method, "http://"+r.Admin+path, r.Token, []byte(body), 200, 202, 204)
}

// Request returns the head of a request, for a bare connection.
func (r *Process) Request(method, path, token, more string) []byte {
	h := method + " " + path + " HTTP/1.1\r\nHost: " + r.Addr + "\r\n"
	if token != "" {
		h += "Authorization: Bearer " + token + "\r\n"
	}
	return []byte(h + more + "\r\n")
}
