package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// What a token may do.
const (
	MayPost = "post"
	MayRead = "read"
)

// TokenRequest says what a new token of a slot may do.
type TokenRequest struct {
	May  []string      // MayPost, MayRead, or both
	TTL  time.Duration // how long it lives, in whole seconds (0: until it is revoked)
	Note string        // for whoever reads the list of tokens
}

// Token is a token of a slot beside the slot's own two. Printing it does not show the
// secret.
type Token struct {
	Secret      string   `json:"token,omitempty"` // only in the answer of NewToken
	ID          string   `json:"token_id"`        // names it in lists; it opens nothing
	May         []string `json:"may"`
	ExpiresUnix *int64   `json:"expires_unix"` // nil: it does not expire
	Note        string   `json:"note,omitempty"`
}

// String names the token without its secret.
func (t Token) String() string { return fmt.Sprintf("token %s (may %v)", t.ID, t.May) }

// GoString is String.
func (t Token) GoString() string { return t.String() }

// NewToken makes a token with fewer rights. The relay shows it this once. If the
// answer is lost, NewToken does not try again: that would leave a token that nobody
// has. At a relay that knows no such tokens the error is ErrNotOffered.
//
// It needs the slot's owner. Without Owner the slot's token may make tokens that only
// read and live for an hour at most: tickets for browsers.
func (s *Slot) NewToken(ctx context.Context, want TokenRequest) (*Token, error) {
	ask := struct {
		May  []string `json:"may"`
		TTL  int64    `json:"ttl_seconds,omitempty"`
		Note string   `json:"note,omitempty"`
	}{want.May, int64((want.TTL + time.Second - 1) / time.Second), want.Note}
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	r, err := s.client.do(ctx, call{method: http.MethodPost, path: s.path("tokens"), token: s.owner(), body: body})
	if err != nil {
		return nil, s.noTokens(ctx, err)
	}
	t := new(Token)
	if err := r.decode(t); err != nil {
		return nil, s.garbled(err)
	}
	if t.Secret == "" || t.ID == "" {
		return nil, s.garbled(errors.New("no token and token_id in it"))
	}
	return t, nil
}

// Tokens lists the slot's tokens, apart from its own two. It needs the slot's owner.
func (s *Slot) Tokens(ctx context.Context) ([]Token, error) {
	r, err := s.client.do(ctx, call{method: http.MethodGet, path: s.path("tokens"), token: s.owner(), repeat: true, max: 4 << 20})
	if err != nil {
		return nil, s.noTokens(ctx, err)
	}
	var list struct {
		Tokens []Token `json:"tokens"`
	}
	if err := r.decode(&list); err != nil {
		return nil, s.garbled(err)
	}
	return list.Tokens, nil
}

// RevokeToken ends a token at once, with its streams. It needs the slot's owner. An
// id that the slot does not have is ErrNoToken. It also succeeds if an earlier try of
// the same call revoked the token and its answer was lost.
func (s *Slot) RevokeToken(ctx context.Context, id string) error {
	r, err := s.client.do(ctx, call{method: http.MethodDelete, path: s.path("tokens/" + url.PathEscape(id)), token: s.owner(), repeat: true})
	if !errors.Is(err, ErrGone) && !is404(err) {
		return err
	}
	if _, listed := s.Tokens(ctx); listed != nil {
		return listed
	}
	if r.lost {
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNoToken, id)
}

// RotateToken gives the slot another slot token, and returns it. The one before is
// dead at once. It needs the slot's owner. s.Token is not changed.
func (s *Slot) RotateToken(ctx context.Context) (string, error) {
	r, err := s.client.do(ctx, call{method: http.MethodPost, path: s.path("tokens/rotate"), token: s.owner(), body: []byte("{}"), repeat: true})
	if err != nil {
		return "", s.noTokens(ctx, err)
	}
	var got struct {
		Token string `json:"slot_token"`
	}
	if err := r.decode(&got); err != nil {
		return "", s.garbled(err)
	}
	if got.Token == "" {
		return "", s.garbled(errors.New("no slot_token in it"))
	}
	return got.Token, nil
}

// noTokens finds out what a 404 means: that the slot is gone, or that the relay does
// not know the route. The slot's state tells them apart.
func (s *Slot) noTokens(ctx context.Context, err error) error {
	if !is404(err) {
		return err
	}
	st, err2 := s.client.Slot(s.ID, s.owner()).State(ctx)
	if st == nil {
		return errors.Join(err2, err)
	}
	return fmt.Errorf("%w: %s knows no tokens with fewer rights: %w", ErrNotOffered, s.client.base, err)
}

func is404(err error) bool {
	var no *Error
	return errors.As(err, &no) && (no.Status == http.StatusNotFound || no.Status == http.StatusMethodNotAllowed)
}

// garbled is reply.foreign for an answer that may hold a token: it does not show it.
func (s *Slot) garbled(err error) error {
	return fmt.Errorf("%w: %s answered something else about tokens: %w", ErrReply, s.client.base, err)
}
