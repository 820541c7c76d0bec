package offline

import (
	"errors"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/rendezvous"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// importJSON reads what another relay wrote: members that are not known are passed
// over, and the last of equal names counts.
var importJSON = json.JoinOptions(jsontext.AllowDuplicateNames(true))

// maxImportSmall is the most bytes of a file that is one record.
const maxImportSmall = 1 << 20

// record stores a record that there is none of yet, and counts it. What is there
// already stays, as the relay may have changed it since.
func (i *importing) record(kind importKind, at place, key string, value []byte) error {
	there, _, err := i.to.become(key, value)
	switch {
	case err != nil:
		return err
	case there:
		i.told.there[kind]++
	default:
		i.told.taken[kind]++
	}
	return nil
}

// health takes the health records of slots.
func (i *importing) health() error {
	for _, f := range i.src.health {
		if err := errors.Join(i.healthOf(f), i.passed(f.size)); err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) healthOf(f importFile) error {
	id, ok := cow.ParseID(f.name)
	if !ok {
		return i.told.leave(kindHealth, f.path, nil, "the name of the file is no slot id", "")
	}
	if _, ok := i.to.have[id]; !ok {
		return i.told.leave(kindHealth, f.path, nil, "there is no such slot", "")
	}
	data, err := i.src.whole(f, maxImportSmall)
	if err != nil {
		return i.told.leave(kindHealth, f.path, nil, "the file can't be read", err.Error())
	}
	var h struct {
		Status        *string `json:"status,omitzero"`
		SetAt         *string `json:"set_at,omitzero"`
		Reason        *string `json:"reason,omitzero"`
		LastSuccessAt *string `json:"last_success_at,omitzero"`
	}
	if err := json.Unmarshal(data, &h, importJSON); err != nil {
		return i.told.leave(kindHealth, f.path, nil, "the file can't be read", err.Error())
	}
	if h.Status == nil || h.SetAt == nil {
		return i.told.leave(kindHealth, f.path, nil, "it has no status or no set_at", "")
	}
	value, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return i.record(kindHealth, place{file: f.path}, "health/"+id.String(), value)
}

// invites takes the invites that are still good. Later lines win.
func (i *importing) invites() error {
	newest := make(map[string]rendezvous.Invite)
	var order []string
	err := i.eachLine(fileInvites, kindInvite, func(path string, l *importLine) error {
		v, why := readInvite(l)
		switch {
		case why == "blank":
			return nil
		case why != "":
			// Its text is not kept: whoever has it can use the invite.
			i.told.skip(kindInvite, place{path, l.number}, why, "")
			return nil
		}
		if _, had := newest[v.Token]; !had {
			order = append(order, v.Token)
		}
		newest[v.Token] = v
		return nil
	})
	if err != nil {
		return err
	}
	for _, token := range order {
		v := newest[token]
		switch {
		case !v.Expires.After(i.now):
			i.told.skip(kindInvite, place{file: fileInvites}, "the invite is expired", "")
			continue
		case v.Uses != nil && *v.Uses == 0:
			v.URL = "" // the relay says that it is used up until it expires
		}
		if err := i.record(kindInvite, place{file: fileInvites}, rendezvous.InviteKey(token), v.Encode()); err != nil {
			return err
		}
	}
	return nil
}

// readInvite reads a line, or says why it is no invite.
func readInvite(l *importLine) (v rendezvous.Invite, why string) {
	blank := true
	for _, c := range l.text {
		blank = blank && (c == ' ' || c == '\t' || c == '\r')
	}
	if blank {
		return v, "blank"
	}
	var r struct {
		Token   string `json:"token"`
		URL     string `json:"invite_url"`
		Expires int64  `json:"expires_unix"`
		Created int64  `json:"created_unix"`
		Uses    *int64 `json:"uses_remaining"`
	}
	switch err := json.Unmarshal(l.text, &r, importJSON); {
	case err != nil && l.torn:
		return v, "the file ends within the line"
	case err != nil:
		return v, "the line can't be read"
	case !rendezvous.ValidToken(r.Token):
		return v, "the token is not one of 6 or 16 hex digits"
	case len(r.URL) > rendezvous.MaxInviteURL || !rendezvous.ValidInviteURL(r.URL):
		return v, "what the invite leads to is not the URL of one"
	}
	if r.Uses != nil {
		*r.Uses = max(*r.Uses, 0)
	}
	return rendezvous.Invite{Token: r.Token, URL: r.URL, Expires: time.Unix(r.Expires, 0), Created: time.Unix(r.Created, 0), Uses: r.Uses}, ""
}
