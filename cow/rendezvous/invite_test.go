package rendezvous

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestInvite_Record(t *testing.T) {
	two := int64(2)
	for _, want := range []Invite{
		{Token: "0123456789abcdef", URL: `wire://pair?a='"\&<>`, Expires: time.Unix(2000, 0), Created: time.Unix(1000, 0), Uses: &two, By: 1<<64 - 1},
		{Token: "abcdef", URL: "wire://pair?" + strings.Repeat("x", MaxInviteURL), Expires: time.Unix(-1, 0), Created: time.Unix(0, 0)},
		{Token: "abcdef", Expires: time.Unix(9, 0), Created: time.Unix(9, 0), Uses: new(int64)},
	} {
		got, err := DecodeInvite(want.Token, want.Encode())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	if got, err := DecodeInvite("abcdef", []byte(`{"url":"wire://pair?","expires_unix":5,"new":{"x":[1]}}`)); err != nil || got.Expires.Unix() != 5 || got.Uses != nil {
		t.Errorf("an unknown member: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", "[]", `{"expires_unix":"5"}`, `{"uses_remaining":-1}`, "{}x"} {
		if got, err := DecodeInvite("abcdef", []byte(bad)); err == nil || strings.Contains(err.Error(), "abcdef") {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func TestValidToken(t *testing.T) {
	for token, want := range map[string]bool{
		"0123456789abcdef": true, "abcdef": true, "000000": true, "": false, "abcde": false, "abcdefg": false, "ABCDEF": false,
		"0123456789abcdeg": false, "0123456789abcde": false, "0123456789abcdef0": false, "../../": false, "abc%20": false,
	} {
		if ValidToken(token) != want {
			t.Errorf("%q: %v", token, !want)
		}
	}
}

func TestValidInviteURL(t *testing.T) {
	for url, want := range map[string]bool{
		"wire://pair?": true, "wire://pair?v=1&inv='$(x)`": true, "": false, "wire://pair": false, "WIRE://pair?": false,
		" wire://pair?": false, "https://pair?": false, "wire://pair?\n": false, "wire://pair?\x7f": false, "wire://pair?é": false,
		"wire://pair?\x00": false, "wire://pair?\xff": false, "wire://pair?a b~": true,
	} {
		if ValidInviteURL(url) != want {
			t.Errorf("%q: %v", url, !want)
		}
	}
}
