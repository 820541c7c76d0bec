package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"cowrelay/bench/attack/client"
)

// An Answer is the status and the body that a request got.
type Answer struct {
	Status int
	Body   []byte
}

// Meet sends a request of agents that find each other. from is the address that a
// proxy names, "" none.
func (r *Process) Meet(ctx context.Context, c *http.Client, from, method, path, token string, body []byte) (Answer, error) {
	b, status, err := client.Exchange(ctx, c, client.Request{Method: method, URL: "http://" + r.Addr + path, Token: token, From: from, Body: body})
	return Answer{status, b}, err
}

// Member is a text of the answer's object. The status must be the right one.
func (a Answer) Member(name string, status int) (string, error) {
	if a.Status != status {
		return "", fmt.Errorf("status %d, want %d: %.200s", a.Status, status, a.Body)
	}
	var m map[string]any
	if err := json.Unmarshal(a.Body, &m); err != nil {
		return "", err
	}
	text, ok := m[name].(string)
	if !ok {
		return "", errors.New("an answer without " + name)
	}
	return text, nil
}

// PairBody is the body that opens a pair.
func PairBody(code, message, role string) []byte {
	return fmt.Appendf(nil, `{"code_hash":%q,"msg":%q,"role":%q}`, code, message, role)
}

// InviteBody is the body that registers an invite. The URL ends with a text.
func InviteBody(text string, uses int) []byte {
	return fmt.Appendf(nil, `{"invite_url":"wire://pair?%s","uses":%d}`, text, uses)
}
