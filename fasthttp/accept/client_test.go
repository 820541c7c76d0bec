package accept

import (
	"net/netip"
	"testing"
)

func TestClient_WhoIsOne(t *testing.T) {
	same := [][]string{
		{"192.0.2.1", "::ffff:192.0.2.1"},
		{"192.0.2.2"},
		{"0.0.0.0"},
		{"255.255.255.255"},
		{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff:ffff:ffff:ffff"},
		{"2001:db8:0:1::1", "2001:db8:0:1:8000::"},
		{"2001:db9::1"},
		{"::1", "::2"},
		{"fe80::1", "fe80::2"},
	}
	seen := map[Client]string{}
	for _, group := range same {
		first := ClientAt(netip.MustParseAddr(group[0]).Unmap())
		if other, ok := seen[first]; ok {
			t.Errorf("%s and %s are one", group[0], other)
		}
		seen[first] = group[0]
		for _, text := range group[1:] {
			if ClientAt(netip.MustParseAddr(text).Unmap()) != first {
				t.Errorf("%s and %s are two", group[0], text)
			}
		}
	}
}
func TestClient_Text(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "255.255.255.255": "255.255.255.255", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64", "2001:db8:1:2::/64": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
		"127.0.0.1": "", "::1": "", "::": "", "": "", "192.0.2.1/64": "", "192.0.2.0/24": "", "2001:db8::/32": "", "relay": "", "1::/64/64": "",
	} {
		c, err := ParseClient(text)
		if c.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, c, err, want)
		}
	}
	if c, _ := ParseClient("192.0.2.1"); c != ClientAt(netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("another client: %x", uint64(c))
	}
}
