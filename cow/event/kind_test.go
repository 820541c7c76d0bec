package event

import "testing"

func TestEphemeral(t *testing.T) {
	for json, want := range map[string]bool{
		`{"kind":100}`:                          true,
		`{"a":{"kind":1},"kind":20000}`:         true,
		`{"kind":29999,"event_id":"x"}`:         true,
		`{"k\u0069nd":100}`:                     true,
		`{"kind":99}`:                           false,
		`{"kind":101}`:                          false,
		`{"kind":19999}`:                        false,
		`{"kind":30000}`:                        false,
		`{"kind":4294987296}`:                   false, // 2^32 + 20000
		`{"kind":-100}`:                         false,
		`{"kind":100.0}`:                        false,
		`{"kind":"100"}`:                        false,
		`{"Kind":100}`:                          false,
		`{"body":{"kind":100}}`:                 false,
		`{"body":"\"kind\":100","kinds":[100]}`: false,
		`{}`:                                    false,
	} {
		if got := Ephemeral([]byte(json)); got != want {
			t.Errorf("%s: %v, want %v", json, got, want)
		}
	}
}
