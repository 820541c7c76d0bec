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
