package report

import (
	"bytes"
	"strings"
	"testing"
)

func TestReadResults(t *testing.T) {
	var b bytes.Buffer
	for _, r := range []Result{{Scenario: "poll"}, {Scenario: "connect", Ratio: &Spread{1, 1, 1}}} {
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
	}
	rs, err := ReadResults(strings.NewReader(b.String() + "\n"))
	if err != nil || len(rs) != 2 || rs[1].Scenario != "connect" || rs[1].Ratio == nil {
		t.Errorf("results %+v, error %v", rs, err)
	}
	for in, want := range map[string]string{
		b.String() + "poll: 1/s\n": "line 3 is no result",
		"{}\n":                     "line 1 is no result: it names no scenario",
	} {
		if _, err := ReadResults(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
