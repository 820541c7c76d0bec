package use

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// Every line is an event, part of one, blank, or reported as bad.
func TestPostInput(t *testing.T) {
	long := strings.Repeat("x", maxInput)
	for text, want := range map[string][]string{
		"":                              nil,
		"\n  \n\r\n":                    nil,
		`{"a":1}`:                       {`line 1: {"a":1}`},
		"{\"a\":1}\r\n\n{}\n":           {`line 1: {"a":1}`, `line 3: {}`},
		`{"a":1}{"b":2} {}`:             {`line 1: {"a":1}`, `line 1: {"b":2}`, `line 1: {}`},
		"{\n \"a\": [\n  {\n} ]\n}\n{}": {"lines 1 to 5: {\n \"a\": [\n  {\n} ]\n}", "line 6: {}"},
		"{\"a\":\n{\"b\":2}\n{}":        {"line 1 bad", `line 2: {"b":2}`, "line 3: {}"},
		"{\"a\":\"x\n{}":                {"line 1 bad", "line 2: {}"},
		"{\"a\":\n x\n}\n{}":            {"lines 1 to 3 bad", "line 4: {}"},
		"{\"a\":\"\\\"}{\"}\n":          {`line 1: {"a":"\"}{"}`},
		"[1]\nnull\n\"{}\"\n{} x\n{}":   {"line 1 bad", "line 2 bad", "line 3 bad", "line 4 bad", "line 5: {}"},
		"{\"a\":\n\n":                   {"lines 1 to 2 bad"},
		long + "yy\n{}":                 {"line 1 bad", "line 2: {}"},
		"{\n" + long + "\n{}":           {"lines 1 to 2 bad", "line 3: {}"},
		"{\"a\":\"\xff\"}":              {"line 1 bad"},
	} {
		in := newPostInput(strings.NewReader(text))
		var got []string
		for {
			it, err := in.next()
			if err == io.EOF {
				break
			}
			switch {
			case err != nil:
				t.Fatal(err)
			case it.err != nil:
				got = append(got, it.where()+" bad")
			default:
				got = append(got, fmt.Sprintf("%s: %s", it.where(), it.event))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%.60q: got %q, want %q", text, got, want)
		}
	}
}

func TestPostInput_WithID(t *testing.T) {
	for event, want := range map[string]string{
		`{}`: `{"event_id":"x"}`, ` { "a":1 }`: `{"event_id":"x","a":1 }`,
		`{"event_id":1}`: "", `{"a":2,"event_id":"b"}`: "", `{"a":{"event_id":"b"}}`: `{"event_id":"x","a":{"event_id":"b"}}`,
	} {
		got, err := withID([]byte(event), "x")
		if string(got) != want || (err != nil) != (want == "") {
			t.Errorf("%s: %s, %v", event, got, err)
		}
	}
}
