package meet

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/refusal"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var (
	noInvite    = &refusal.Reply{Status: http.StatusNotFound, Text: "no such invite"}
	inviteGone  = &refusal.Reply{Status: http.StatusGone, Text: "this invite is expired or used up"}
	inviteURL   = &refusal.Reply{Status: http.StatusBadRequest, Text: "invite_url must be printable ASCII that starts with wire://pair?"}
	inviteUses  = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "uses must be a whole number from 1 up, or null"}
	inviteLife  = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "ttl_seconds must be a whole number"}
	longInvite  = &refusal.Reply{Status: http.StatusRequestEntityTooLarge, Text: "invite_url is longer than " + strconv.Itoa(rendezvous.MaxInviteURL) + " bytes"}
	manyInvites = &refusal.Reply{Status: http.StatusServiceUnavailable, Text: "the relay has as many invites as it may", RetryAfter: 60, Why: refusal.Invites}
	shareInvite = &refusal.Reply{Status: http.StatusServiceUnavailable, Text: "the relay has as many invites from your address as it may", RetryAfter: 60, Why: refusal.InviteShares}
)

// ofInvite is what a client hears of an error of Invites.
func ofInvite(err error) error {
	switch {
	case errors.Is(err, rendezvous.ErrNoInvite):
		return noInvite
	case errors.Is(err, rendezvous.ErrInviteGone):
		return inviteGone
	case errors.Is(err, rendezvous.ErrInviteURL):
		return inviteURL
	case errors.Is(err, rendezvous.ErrLongInvite):
		return longInvite
	case errors.Is(err, rendezvous.ErrNoUses):
		return inviteUses
	case errors.Is(err, rendezvous.ErrTooMany):
		return manyInvites
	case errors.Is(err, rendezvous.ErrShare):
		return shareInvite
	}
	return err
}

// RegisterInvite keeps an invite. It returns the body of a 201.
func RegisterInvite(invites *rendezvous.Invites, from rendezvous.Source, body []byte) ([]byte, error) {
	var in *struct {
		URL  *string        `json:"invite_url"`
		Life jsontext.Value `json:"ttl_seconds"`
		Uses jsontext.Value `json:"uses"`
	}
	if err := refusal.Decode(body, &in); err != nil {
		return nil, err
	}
	if in == nil || in.URL == nil {
		return nil, &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "invite_url must be a string"}
	}
	life := rendezvous.DefaultInviteLife
	seconds, ok := wholeNumber(in.Life)
	switch {
	case !ok:
		return nil, inviteLife
	case seconds != nil: // bounds are kept behind this; here it must not overflow
		life = time.Duration(min(max(*seconds, 0), int64(rendezvous.MaxInviteLife/time.Second))) * time.Second
	}
	uses, ok := wholeNumber(in.Uses)
	if !ok {
		return nil, inviteUses
	}
	invite, err := invites.Register(from, *in.URL, life, uses)
	if err != nil {
		return nil, ofInvite(err)
	}
	return json.Marshal(struct {
		Token   string `json:"token"`
		Path    string `json:"path"`
		Expires int64  `json:"expires_unix"`
		Uses    *int64 `json:"uses_remaining"`
	}{invite.Token, "/i/" + invite.Token, invite.Expires.Unix(), invite.Uses})
}

// InviteScript returns the script of an invite and uses the invite up once. With
// peek it uses none up.
func InviteScript(invites *rendezvous.Invites, token string, peek bool) ([]byte, error) {
	script, err := invites.Script(token, peek)
	return script, ofInvite(err)
}

// InviteURL returns the URL of an invite, and uses none up.
func InviteURL(invites *rendezvous.Invites, token string) (string, error) {
	url, err := invites.URL(token)
	return url, ofInvite(err)
}

// wholeNumber reads a JSON number without fraction and exponent, nil for null or
// an absent one. One that an int64 does not hold becomes the nearest.
func wholeNumber(v jsontext.Value) (n *int64, ok bool) {
	switch {
	case len(v) == 0 || v.Kind() == 'n':
		return nil, true
	case v.Kind() != '0' || strings.ContainsAny(string(v), ".eE"):
		return nil, false
	}
	i, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil && i != math.MaxInt64 && i != math.MinInt64 {
		return nil, false
	}
	return &i, true
}
