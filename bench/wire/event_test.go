package wire

import (
	"strings"
	"testing"
)

func TestTemplate_small(t *testing.T) {
	tmpl, err := NewTemplate(SmallEventBytes, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(tmpl.AppendEvent(nil, 0xabc)); got != `{"event_id":"0000000000000abc"}` || tmpl.Size() != len(got) {
		t.Errorf("event %s of %d bytes", got, tmpl.Size())
	}
	if id := tmpl.AppendID(nil, 0xabc); string(id) != "0000000000000abc" {
		t.Errorf("id %s", id)
	} else if n, ok := tmpl.NumberOfID(id); n != 0xabc || !ok {
		t.Errorf("number %d, %v", n, ok)
	}
	if _, err := tmpl.Number([]byte(`{"event_id":"0000000000000ABC"}`)); err == nil {
		t.Errorf("another event was taken for one of these")
	}
}

func TestTemplate(t *testing.T) {
	nonce := strings.Repeat("ab", 24)
	tm, err := NewTemplate(300, nonce)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{0, 1, 1 << 40, 1<<64 - 1} {
		e := tm.AppendEvent(nil, n)
		if len(e) != 300 {
			t.Errorf("event %d has %d bytes", n, len(e))
		}
		if got, err := tm.Number(e); err != nil || got != n {
			t.Errorf("number of event %d = %d, %v", n, got, err)
		}
		if got, ok := tm.NumberOfID(tm.AppendID(nil, n)); !ok || got != n {
			t.Errorf("number of id %d = %d, %v", n, got, ok)
		}
		e[3] ^= 1
		if _, err := tm.Number(e); err == nil {
			t.Error("a changed event was not noticed")
		}
	}
	if _, err := NewTemplate(MinEventBytes-1, nonce); err == nil {
		t.Error("an event without room for its fields was made")
	}
	if _, err := NewTemplate(300, "short"); err == nil {
		t.Error("a nonce of the wrong length was taken")
	}
	if _, ok := ParseHex([]byte("00000000000000AF")); ok {
		t.Error("uppercase digits were taken")
	}
}
