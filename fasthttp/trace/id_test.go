package trace

import (
	"regexp"
	"strings"
	"testing"
)

func TestClientID(t *testing.T) {
	hex := strings.Repeat("0a", 16)
	for _, id := range []string{"x", "404", hex, "f47ac10b-58cc-4372-a567-0e02b2c3d479", "Root=1-67891233-abcdef012345678912345678", "a.b_c~d+e/f==", strings.Repeat("z", 128), hex + "-" + hex} {
		if got := ClientID([]byte(id), []byte("a bearer of x"), []byte("/i/x404")); got != id {
			t.Errorf("%q: %q", id, got)
		}
	}
	for _, id := range []string{"", strings.Repeat("z", 129), "a b", "a\tb", "a\nb", `a"b`, `a\b`, "a:b", "a,b", "<b>", "é", "\x00", "\x7f", "wire://pair?x", hex + "0", "x" + strings.ToUpper(hex) + "F"} {
		if got := ClientID([]byte(id), nil, nil); got != "" {
			t.Errorf("%q: %q", id, got)
		}
	}
	if long := make([]byte, secretMost+1); ClientID([]byte("x"), long, nil)+ClientID([]byte("x"), nil, long) != "" {
		t.Error("an id beside a long bearer or target is taken")
	}
	const secret = "0123456789-abcdefghij"
	for _, id := range []string{secret, secret[:16], secret[5:], "my-" + secret[1:17] + "-x"} {
		if got := ClientID([]byte(id), []byte(secret), nil) + ClientID([]byte(id), nil, []byte("/i/"+secret+"?x")); got != "" {
			t.Errorf("%q, with a part of a secret: %q", id, got)
		}
	}
	if id := secret[:15]; ClientID([]byte(id), []byte(secret), []byte(secret)) != id {
		t.Errorf("%q is not taken", id)
	}
}

func TestNewID(t *testing.T) {
	form, seen := regexp.MustCompile(`^[0-9a-v]{16}$`), map[string]bool{}
	for range 10_000 {
		id := NewID()
		if seen[id] || !form.MatchString(id) || ClientID([]byte(id), nil, nil) != id {
			t.Fatalf("%q", id)
		}
		seen[id] = true
	}
}
