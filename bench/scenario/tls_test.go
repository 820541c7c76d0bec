package scenario

import (
	"strings"
	"testing"

	"cowrelay/bench/run"
)

// All of tls takes minutes, whatever the other scenarios take: one load of each kind, and
// fewer streams.
func TestTLS_Variants(t *testing.T) {
	cfg := run.Defaults()
	cfg.Relay = "cowrelay"
	all, err := TLS(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, v := range all {
		texts = append(texts, v.Text)
	}
	want := []string{"poll, 64", "post, 64", "window, ", "connect, 64", "resumed, connect, 64", "idle, 2,000 streams"}
	if len(texts) != len(want) {
		t.Fatalf("%q", texts)
	}
	for i := range want {
		if !strings.HasPrefix(texts[i], want[i]) {
			t.Errorf("%q, want %q", texts[i], want[i])
		}
	}
	if cfg.IdleStreams != run.Defaults().IdleStreams {
		t.Error("the caller's configuration has changed")
	}
}
