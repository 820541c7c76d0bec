package admin

import (
	"cmp"
	"errors"
	"net/http"
	"sync"

	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/refusal"
)

const (
	purgeAtOnce  = 1000 // handles, and as many invites, that one request drops or names
	purgeWorkers = 16   // records that are dropped at once, so that they share a sync
)

var errPurge = &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "address is an address that is not this machine's, or a /64 of IPv6"}

// purge drops the handles and invites that came from one address: as many as a
// request may drop. A dry run only says what it would drop.
func (s *Server) purge(r *attached, w http.ResponseWriter, req *http.Request) error {
	var of struct {
		Address string `json:"address"`
		Dry     bool   `json:"dry_run"`
	}
	if err := body(req, &of); err != nil {
		return err
	}
	client, err := accept.ParseClient(of.Address)
	if err != nil {
		return errPurge
	}
	by := rendezvous.Source(client)
	reply := struct {
		Address string   `json:"address"`
		Handles []string `json:"handles"`
		Invites int      `json:"invites"`
		More    bool     `json:"more"` // there are more to drop
	}{Address: client.String(), Handles: []string{}}
	nicks, more := r.Desk().Handles.Nicks(func(b rendezvous.Source) bool { return b == by }, purgeAtOnce)
	invites, matching, err := r.Desk().Invites.Live(func(_ string, b rendezvous.Source) bool { return b == by }, purgeAtOnce)
	if err != nil {
		return err
	}
	reply.More = more || matching > len(invites)
	if of.Dry {
		reply.Handles, reply.Invites = append(reply.Handles, nicks...), len(invites)
		return replyJSON(w, http.StatusOK, reply)
	}
	dropped := make([]bool, len(nicks)+len(invites)) // by index: each goroutine writes its own
	err = each(len(dropped), func(i int) error {
		var err error
		if i < len(nicks) {
			err = r.Desk().Handles.Drop(nicks[i])
		} else {
			err = r.Desk().Invites.Revoke(invites[i-len(nicks)].Token)
		}
		dropped[i] = err == nil
		if errors.Is(err, rendezvous.ErrNoHandle) || errors.Is(err, rendezvous.ErrNoInvite) || errors.Is(err, rendezvous.ErrInviteGone) {
			err = nil // somebody else was faster
		}
		return err
	})
	for i, is := range dropped {
		switch {
		case !is:
		case i < len(nicks):
			reply.Handles = append(reply.Handles, nicks[i])
		default:
			reply.Invites++
		}
	}
	if s.acted(req, "purge", client.String(), err, "handles", reply.Handles, "invites", reply.Invites) != nil {
		return err
	}
	return replyJSON(w, http.StatusOK, reply)
}

// each calls f with the numbers below n, some of them at once. After an error it
// begins no more, and returns the first. A panic of f is one of the caller.
func each(n int, f func(i int) error) error {
	var mu sync.Mutex // guards what follows
	var next int
	var failed error
	var fault any
	take := func() (i int, more bool) {
		mu.Lock()
		defer mu.Unlock()
		i = next
		next++
		return i, i < n && failed == nil && fault == nil
	}
	var all sync.WaitGroup
	for range min(purgeWorkers, n) {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					mu.Lock()
					defer mu.Unlock()
					fault = p
				}
			}()
			for i, more := take(); more; i, more = take() {
				if err := f(i); err != nil {
					mu.Lock()
					failed = cmp.Or(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if fault != nil {
		panic(fault)
	}
	return failed
}
