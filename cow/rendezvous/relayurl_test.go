package rendezvous

import (
	"strings"
	"testing"
)

func TestCleanRelayURL(t *testing.T) {
	for url, want := range map[string]string{
		"http://a":                          "http://a",
		"https://relay.example.com":         "https://relay.example.com",
		"https://relay.example.com/":        "https://relay.example.com",
		"HTTPS://Relay.Example.com:8443":    "HTTPS://Relay.Example.com:8443",
		"http://127.0.0.1:8770":             "http://127.0.0.1:8770",
		"http://[::1]:1":                    "http://[::1]:1",
		"http://[2001:db8::1]/":             "http://[2001:db8::1]",
		"http://xn--bcher-kva.example:80":   "http://xn--bcher-kva.example:80",
		"http://my_relay:65535":             "http://my_relay:65535",
		"http://relay.example.":             "http://relay.example.",
		"http://" + strings.Repeat("a", 63): "http://" + strings.Repeat("a", 63),
	} {
		if got, ok := CleanRelayURL(url); !ok || got != want {
			t.Errorf("%s: got %q, %v", url, got, ok)
		}
	}
	for _, url := range []string{
		"", "/", "relay.example", "//relay.example", "ftp://relay.example", "http:relay.example", "http://", "https:///",
		"http://a//", "http://a/path", "http://a?q", "http://a#f", "http://u@a", "http://u:p@a:80", `http://a\b`,
		"http://a b", " http://a", "http://a ", "http://a\n", "http://a\t", "http://a\x00", "http://é.example",
		"http://a:", "http://a:0", "http://a:65536", "http://a:-1", "http://a:+1", "http://a:80a", "http://:80", "http://a:1:2",
		"http://::1", "http://[::1", "http://::1]", "http://[::1]a", "http://[::1%25lo]:1", "http://[127.0.0.1]", "http://[]",
		"http://1.2.3", "http://1.2.3.4.5", "http://256.1.1.1", "http://01.2.3.4", "http://.", "http://a..b", "http://.a", "http://-a", "http://a-",
		"http://a.-b", "http://<script>", "http://$(id)", "http://a'b", "http://" + strings.Repeat("a", 64),
		"http://" + strings.Repeat("a.", 127) + "aa", "http://" + strings.Repeat("/", 600),
	} {
		if got, ok := CleanRelayURL(url); ok {
			t.Errorf("%q is taken, as %q", url, got)
		}
	}
}
