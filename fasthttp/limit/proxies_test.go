package limit

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func proxiesOf(t *testing.T, trusted, headers string) (p Proxies) {
	t.Helper()
	var err error
	if p.Trusted, err = ParseProxies(trusted); err != nil {
		t.Fatal(err)
	}
	p.Headers = DefaultHeaders
	if headers != "" {
		if p.Headers, err = ParseHeaders(headers); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func headerOf(t testing.TB, lines string) *fasthttp.RequestHeader {
	t.Helper()
	h := new(fasthttp.RequestHeader)
	h.SetMethod("GET")
	h.SetRequestURI("/")
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

// Which client a request is from, by what the proxies and the client say.
func TestProxies_Client(t *testing.T) {
	const xff, cf, fly = "X-Forwarded-For: ", "CF-Connecting-IP: ", "Fly-Client-IP: "
	for _, c := range []struct {
		what, proxies, headers string // which are trusted, and by what name
		peer, lines            string
		client                 string // with ! if a header named it
	}{
		{"nobody is trusted", "", "", "127.0.0.1", xff + "192.0.2.1", "127.0.0.1"},
		{"a stranger says something", "10.0.0.0/8", "", "198.51.100.7", xff + "192.0.2.1\n" + fly + "192.0.2.2\n" + cf + "192.0.2.3", "198.51.100.7"},
		{"a proxy says nothing", "127.0.0.1", "", "127.0.0.1", "", "127.0.0.1"},
		{"a proxy says a blank", "127.0.0.1", "", "127.0.0.1", xff + " , ,", "127.0.0.1!"},
		{"a blank is not passed over for another header", "127.0.0.1", "", "127.0.0.1", xff + ",\n" + fly + "192.0.2.66\n" + cf + "192.0.2.67", "127.0.0.1!"},
		{"nor is nothing at all", "127.0.0.1", "", "127.0.0.1", xff + "\n" + cf + "192.0.2.67", "127.0.0.1!"},
		{"nor a blank beside an address", "127.0.0.1", "", "127.0.0.1", xff + "192.0.2.1\n" + xff + ",\n" + cf + "192.0.2.67", "192.0.2.1!"},
		{"one proxy", "127.0.0.1", "", "127.0.0.1", xff + "192.0.2.1", "192.0.2.1!"},
		{"an IPv6 proxy", "::1", "", "::1", xff + "192.0.2.1", "192.0.2.1!"},
		{"the client made up what stands before", "127.0.0.1", "", "127.0.0.1", xff + "192.0.2.66, 192.0.2.1", "192.0.2.1!"},
		{"and in a line of its own", "127.0.0.1", "", "127.0.0.1", xff + "192.0.2.66\n" + xff + "192.0.2.1", "192.0.2.1!"},
		{"two proxies", "127.0.0.1,10.0.0.0/8", "", "127.0.0.1", xff + "192.0.2.66, 192.0.2.1, 10.1.2.3", "192.0.2.1!"},
		{"two proxies in two lines", "127.0.0.1,10.0.0.0/8", "", "127.0.0.1", xff + "192.0.2.1\n" + xff + "10.1.2.3", "192.0.2.1!"},
		{"an unknown proxy between", "127.0.0.1", "", "127.0.0.1", xff + "192.0.2.1, 10.1.2.3", "10.1.2.3!"},
		{"a client in the proxies' network", "127.0.0.1,10.0.0.0/8", "", "127.0.0.1", xff + "10.9.9.9", "10.9.9.9!"},
		{"a client that claims to be on loopback", "127.0.0.0/8", "", "127.0.0.1", xff + "127.0.0.9", "127.0.0.9!"},
		{"garbage", "127.0.0.1", "", "127.0.0.1", xff + "localhost", "127.0.0.1!"},
		{"garbage behind a proxy", "127.0.0.1,10.0.0.0/8", "", "127.0.0.1", xff + "192.0.2.1, unknown, 10.1.2.3", "10.1.2.3!"},
		{"garbage before the client", "127.0.0.1", "", "127.0.0.1", xff + "%%%, 192.0.2.1", "192.0.2.1!"},
		{"garbage is not passed over for another header", "127.0.0.1", "", "127.0.0.1", xff + "x\n" + fly + "192.0.2.2", "127.0.0.1!"},
		{"with a port", "127.0.0.1", "", "127.0.0.1", xff + "192.0.2.1:4711", "192.0.2.1!"},
		{"with no right port", "127.0.0.1", "", "127.0.0.1", xff + "192.0.2.1:x", "127.0.0.1!"},
		{"IPv6", "127.0.0.1", "", "127.0.0.1", xff + "2001:db8::1", "2001:db8::1!"},
		{"IPv6 in brackets", "127.0.0.1", "", "127.0.0.1", xff + "[2001:db8::1]", "2001:db8::1!"},
		{"IPv6 with a port", "127.0.0.1", "", "127.0.0.1", xff + "[2001:db8::1]:4711", "2001:db8::1!"},
		{"IPv6 with a zone", "127.0.0.1", "", "127.0.0.1", xff + "fe80::1%eth0", "fe80::1!"},
		{"brackets not closed", "127.0.0.1", "", "127.0.0.1", xff + "[2001:db8::1", "127.0.0.1!"},
		{"brackets and more", "127.0.0.1", "", "127.0.0.1", xff + "[2001:db8::1]x", "127.0.0.1!"},
		{"empty brackets", "127.0.0.1", "", "127.0.0.1", xff + "[]", "127.0.0.1!"},
		{"a mapped address", "127.0.0.1", "", "127.0.0.1", xff + "::ffff:192.0.2.1", "192.0.2.1!"},
		{"a mapped proxy", "127.0.0.1, ::ffff:10.0.0.0/104", "", "127.0.0.1", xff + "192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1!"},
		{"IPv6 proxies", "2001:db8:f::/48", "", "2001:db8:f::1", xff + "192.0.2.1, 2001:db8:f:2::9", "192.0.2.1!"},
		{"Fly alone", "127.0.0.1", "", "127.0.0.1", fly + "192.0.2.2", "192.0.2.2!"},
		{"Cloudflare alone", "127.0.0.1", "", "127.0.0.1", cf + "192.0.2.3", "192.0.2.3!"},
		{"another name beside the proxy's", "127.0.0.1", "", "127.0.0.1", fly + "192.0.2.66\n" + cf + "192.0.2.67\n" + xff + "192.0.2.1", "192.0.2.1!"},
		{"a name that was chosen", "127.0.0.1", "Fly-Client-IP", "127.0.0.1", fly + "192.0.2.2\n" + xff + "192.0.2.66, 192.0.2.67", "192.0.2.2!"},
		{"a chosen name, another header", "127.0.0.1", "Fly-Client-IP", "127.0.0.1", xff + "192.0.2.66", "127.0.0.1"},
		{"any other name", "127.0.0.1", "x-real-ip", "127.0.0.1", "X-Real-IP: 192.0.2.4", "192.0.2.4!"},
		{"an order", "127.0.0.1", "CF-Connecting-IP, Fly-Client-IP", "127.0.0.1", fly + "192.0.2.2\n" + cf + "192.0.2.3", "192.0.2.3!"},
	} {
		client, named := proxiesOf(t, c.proxies, c.headers).Client(netip.MustParseAddr(c.peer), headerOf(t, c.lines))
		got := client.String()
		if named {
			got += "!"
		}
		if got != c.client {
			t.Errorf("%s: %s, want %s", c.what, got, c.client)
		}
	}
}

func TestProxies_Settings(t *testing.T) {
	for _, bad := range []string{"10.0.0.0/33", "localhost", "10.0.0.1/", "::ffff:10.0.0.0/8", "10.0.0.1 10.0.0.2"} {
		if _, err := ParseProxies(bad); err == nil {
			t.Errorf("proxies %q were taken", bad)
		}
	}
	list, err := ParseProxies(" 10.1.2.3/8 ,, ::1")
	if err != nil || len(list) != 2 || list[0].String() != "10.0.0.0/8" || list[1].String() != "::1/128" {
		t.Errorf("%v, %v", list, err)
	}
	for _, bad := range []string{"", ",", "X Real", "X:Y", "a\r\nb"} {
		if _, err := ParseHeaders(bad); err == nil {
			t.Errorf("headers %q were taken", bad)
		}
	}
}

// A header is read the same however long it is, and never panics.
func FuzzProxies_Client(f *testing.F) {
	f.Add("192.0.2.1, [::1]:80, 10.0.0.1", "127.0.0.1")
	f.Add("[", "]:")
	p := Proxies{Headers: DefaultHeaders}
	p.Trusted, _ = ParseProxies("127.0.0.0/8,10.0.0.0/8")
	peer := netip.MustParseAddr("127.0.0.1")
	f.Fuzz(func(t *testing.T, one, two string) {
		h := new(fasthttp.RequestHeader)
		h.Add("X-Forwarded-For", one)
		h.Add("X-Forwarded-For", two)
		h.Add("Fly-Client-IP", "192.0.2.99")
		client, named := p.Client(peer, h)
		if !client.IsValid() || client.Is4In6() || client.Zone() != "" {
			t.Errorf("%q, %q: %v", one, two, client)
		}
		if !named && client != peer {
			t.Errorf("%q, %q: %v, named by nobody", one, two, client)
		}
	})
}
