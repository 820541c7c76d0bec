package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/client"
)

func TestToken_Life(t *testing.T) {
	g := newRig(t, 0)
	c := g.client()
	s := g.allocate(c)
	ctx := t.Context()
	if s.Owner == "" || s.Owner == s.Token {
		t.Fatal("no token of the owner")
	}
	post, err := s.NewToken(ctx, client.TokenRequest{May: []string{client.MayPost}, Note: "for mary"})
	if err != nil || post.ExpiresUnix != nil {
		t.Fatalf("%v, %v", post, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %v", post, *post, *post, s); strings.Contains(text, post.Secret) || strings.Contains(text, s.Owner) {
		t.Errorf("a print shows a secret: %s", text)
	}
	read, err := s.NewToken(ctx, client.TokenRequest{May: []string{client.MayRead}, TTL: time.Hour})
	if err != nil || read.ExpiresUnix == nil {
		t.Fatalf("%v, %v", read, err)
	}
	poster, reader := c.Slot(s.ID, post.Secret), c.Slot(s.ID, read.Secret)
	mustPost(t, poster, without(1))
	same(t, "read", pull(t, reader, client.Cursor{}, 0), []string{string(without(1))})
	for what, err := range map[string]error{
		"a poster's pull": func() error {
			for _, err := range poster.Pull(ctx, client.Cursor{}, 0) {
				return err
			}
			return nil
		}(),
		"a reader's post":       func() error { _, err := reader.Post(ctx, without(2)); return err }(),
		"a reader's removal":    reader.Delete(ctx),
		"the slot token's":      c.Slot(s.ID, s.Token).Delete(ctx),
		"the slot token's list": func() error { _, err := c.Slot(s.ID, s.Token).Tokens(ctx); return err }(),
		"the slot token's token": func() error {
			_, err := c.Slot(s.ID, s.Token).NewToken(ctx, client.TokenRequest{May: []string{"post"}})
			return err
		}(),
	} {
		if !errors.Is(err, client.ErrMissingRight) || errors.Is(err, client.ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	list, err := s.Tokens(ctx)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, l := range list {
		if l.Secret != "" || l.ID == post.ID && (l.Note != "for mary" || len(l.May) != 1 || l.May[0] != client.MayPost) {
			t.Errorf("%+v", l)
		}
	}
	if _, err := c.Slot(s.ID, s.Token).NewToken(ctx, client.TokenRequest{May: []string{client.MayRead}, TTL: time.Minute}); err != nil {
		t.Errorf("a ticket: %v", err)
	}
	if err := s.RevokeToken(ctx, post.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := poster.Post(ctx, without(3)); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("a revoked token: %v", err)
	}
	if err := s.RevokeToken(ctx, post.ID); !errors.Is(err, client.ErrNoToken) {
		t.Errorf("an unknown token: %v", err)
	}
	fresh, err := s.RotateToken(ctx)
	if err != nil || fresh == s.Token {
		t.Fatal(err)
	}
	if _, err := s.Post(ctx, without(4)); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("the token before: %v", err)
	}
	s.Token = fresh
	mustPost(t, s, without(4))
	if err := s.Delete(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Tokens(ctx); !errors.Is(err, client.ErrGone) || errors.Is(err, client.ErrNotOffered) {
		t.Errorf("tokens of a slot that is gone: %v", err)
	}
}

func TestToken_NotOffered(t *testing.T) {
	g := newRig(t, 0)
	s := g.allocate(newClient(t, g.plain()))
	_, made := s.NewToken(t.Context(), client.TokenRequest{May: []string{client.MayPost}})
	_, listed := s.Tokens(t.Context())
	_, rotated := s.RotateToken(t.Context())
	for i, err := range []error{made, listed, rotated, s.RevokeToken(t.Context(), "x")} {
		if !errors.Is(err, client.ErrNotOffered) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
