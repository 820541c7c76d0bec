package use

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
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
		for how, next := range map[string]func(*postInput) (postItem, error){"next": (*postInput).next, "view": (*postInput).view} {
			if got := readItems(t, text, next); !slices.Equal(got, want) {
				t.Errorf("%s of %.60q: got %q, want %q", how, text, got, want)
			}
		}
	}
}

// readItems lists the items of a text. view leaves to the relay what is no JSON within
// its braces: that counts as bad here.
func readItems(t *testing.T, text string, next func(*postInput) (postItem, error)) (got []string) {
	t.Helper()
	for in := newPostInput(strings.NewReader(text)); ; {
		it, err := next(in)
		switch {
		case err == io.EOF:
			return got
		case err != nil:
			t.Fatal(err)
		case it.err != nil || !jsontext.Value(it.event).IsValid(jsontext.AllowDuplicateNames(true)):
			got = append(got, it.where()+" bad")
		default:
			got = append(got, fmt.Sprintf("%s: %s", it.where(), it.event))
		}
	}
}

// Both ways of reading find the same events in any text.
func TestPostInput_ViewIsNext(t *testing.T) {
	parts := []string{"{", "}", "[", "]", `"`, `\`, "\n", "\n", "\r\n", " ", ",", ":", `"a":1`, `"b":"x"`, `"c":{}`, "{}", `{"d":[{}]}`, "1", "\n{"}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		var b strings.Builder
		for range rng.IntN(16) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		want, got := readItems(t, b.String(), (*postInput).next), readItems(t, b.String(), (*postInput).view)
		if !slices.Equal(got, want) {
			t.Fatalf("%q: got %q, want %q", b.String(), got, want)
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
