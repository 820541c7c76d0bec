package relaytest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// Slot is one mailbox, as a client knows it. Requests are sent with Token.
type Slot struct {
	ID    string `json:"slot_id"`
	Token string `json:"slot_token"`
	Owner string `json:"owner_token,omitempty"` // what the slot's owner alone has
}

// HTTPClient is for requests that may share connections.
var HTTPClient = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// Send makes a request with the slot's token and returns the reply with its
// body.
func (s Slot) Send(client *http.Client, method, url string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res, data, err
}

// AsOwner returns the slot with requests sent with the owner's token.
func (s Slot) AsOwner() Slot { return Slot{ID: s.ID, Token: s.Owner, Owner: s.Owner} }

// MustSend fails unless the reply has the status.
func (s Slot) MustSend(t testing.TB, status int, method, url string, body []byte) []byte {
	t.Helper()
	res, data, err := s.Send(HTTPClient, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status {
		t.Fatalf("%s %s: %s %s", method, url, res.Status, data)
	}
	return data
}

// Allocate makes a slot.
func (r *Relay) Allocate() (s Slot) {
	r.T.Helper()
	body := Slot{}.MustSend(r.T, http.StatusCreated, "POST", r.URL+"/v1/slot/allocate", []byte("{}"))
	if err := json.Unmarshal(body, &s); err != nil {
		r.T.Fatal(err)
	}
	return s
}

// EventsURL is where a slot's events are posted and pulled.
func (r *Relay) EventsURL(s Slot) string { return r.URL + "/v1/events/" + s.ID }

// Post stores an event.
func (r *Relay) Post(s Slot, event []byte) {
	r.T.Helper()
	s.MustSend(r.T, http.StatusCreated, "POST", r.EventsURL(s), PostBody(event))
}

// Pull returns the events behind since, page by page to the end. The last of a page
// must begin with its event_id.
func (r *Relay) Pull(s Slot, since string) (events []json.RawMessage) {
	r.T.Helper()
	for {
		var page []json.RawMessage
		u := r.EventsURL(s) + "?limit=1000&since=" + url.QueryEscape(since)
		if err := json.Unmarshal(s.MustSend(r.T, http.StatusOK, "GET", u, nil), &page); err != nil {
			r.T.Fatal(err)
		}
		if len(page) == 0 {
			return events
		}
		events = append(events, page...)
		if since = EventID(page[len(page)-1]); since == "" {
			r.T.Fatalf("the page can't be gone on from: %s", page[len(page)-1])
		}
	}
}

// NewClient returns one of its own, so that its connections end with it.
func NewClient() (*http.Client, func()) {
	tr := &http.Transport{}
	return &http.Client{Timeout: time.Minute, Transport: tr}, tr.CloseIdleConnections
}
