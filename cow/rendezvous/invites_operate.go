package rendezvous

import (
	"cmp"
	"errors"
	"slices"

	"cowrelay/cow"
)

// Live returns the first most live invites that match, those that end first, and
// how many match in all. Their URLs are left out: they are for those who are
// invited.
func (v *Invites) Live(match func(token string, by Source) bool, most int) (list []Invite, matching int, err error) {
	entries := slices.DeleteFunc(v.books.all(v.opts.Now()), func(e inviteDue) bool { return !match(e.token, e.by) })
	slices.SortFunc(entries, func(a, b inviteDue) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.token, b.token))
	})
	for _, e := range entries[:min(len(entries), most)] {
		invite, _, err := v.read(e.token)
		switch {
		case err == nil:
			invite.URL = ""
			list = append(list, invite)
		case !errors.Is(err, ErrNoInvite) && !errors.Is(err, ErrInviteGone):
			return nil, 0, err
		}
	}
	return list, len(entries), nil
}

// Revoke ends an invite, durably: from then on it is as if it were used up.
// Errors: ErrNoInvite, ErrInviteGone.
func (v *Invites) Revoke(token string) error {
	done, err := v.opts.Gate()
	if err != nil {
		return err
	}
	defer done()
	for {
		invite, version, err := v.read(token)
		if err != nil {
			return err
		}
		invite.URL, invite.Uses, invite.Expires = "", new(int64), v.opts.Now()
		if _, err = v.records.Put(InviteKey(token), invite.Encode(), version, cow.Totals{}); !errors.Is(err, cow.ErrConflict) {
			if err == nil {
				v.Stats.Revoked.Add(1)
			}
			return err
		}
	}
}

// Most returns how many invites may be live at once.
func (v *Invites) Most() int { return v.opts.Most }
