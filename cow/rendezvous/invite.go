package rendezvous

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Invite is an invite as it is recorded.
type Invite struct {
	Token   string // see ValidToken
	URL     string // what it leads to; gone with the last use
	Expires time.Time
	Created time.Time
	Uses    *int64 // how often its script may still be fetched; nil: without end
	By      Source // who registered it
}

// invitePrefix begins the keys of invites' records.
const invitePrefix = "invite/"

// InviteKey is the key of an invite's record.
func InviteKey(token string) string { return invitePrefix + token }

// ValidToken says whether a text may be an invite's token: 16 lowercase hex digits,
// or 6 as relays gave out before.
func ValidToken(token string) bool {
	return (len(token) == 16 || len(token) == 6) && strings.Trim(token, "0123456789abcdef") == ""
}

// inviteRecord is the JSON of a record. Times are Unix seconds. Members that are
// not known are passed over.
type inviteRecord struct {
	URL     string `json:"url,omitzero"`
	Expires int64  `json:"expires_unix"`
	Created int64  `json:"created_unix"`
	Uses    *int64 `json:"uses_remaining,omitzero"`
	By      Source `json:"by,omitzero"`
}

// Encode returns the value of the invite's record: one line of JSON.
func (i Invite) Encode() []byte {
	value, err := json.Marshal(inviteRecord{URL: i.URL, Expires: i.Expires.Unix(), Created: i.Created.Unix(), Uses: i.Uses, By: i.By})
	if err != nil { // the URL is not UTF-8, which ValidInviteURL does not take
		panic("BUG: an invite can't be encoded")
	}
	return append(value, '\n')
}

// DecodeInvite reads the value of an invite's record.
func DecodeInvite(token string, value []byte) (Invite, error) {
	var r inviteRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return Invite{}, fmt.Errorf("the record of an invite can't be read: %w", err)
	}
	if r.Uses != nil && *r.Uses < 0 {
		return Invite{}, errors.New("the record of an invite has less than no uses left")
	}
	return Invite{
		Token: token, URL: r.URL, Expires: time.Unix(r.Expires, 0), Created: time.Unix(r.Created, 0), Uses: r.Uses, By: r.By,
	}, nil
}

// MaxInviteURL is how many bytes the URL of an invite may have.
const MaxInviteURL = 8192

// ValidInviteURL says whether a text of any length is an invite's URL: printable
// ASCII that begins as all invites do.
func ValidInviteURL(url string) bool {
	if !strings.HasPrefix(url, "wire://pair?") {
		return false
	}
	for i := range len(url) {
		if url[i] < ' ' || url[i] > '~' {
			return false
		}
	}
	return true
}
