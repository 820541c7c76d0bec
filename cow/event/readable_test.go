package event

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestReadable(t *testing.T) {
	const dup = `{"event_id":"a","x":1,"event_id":"b"}`
	for line, want := range map[string]string{ // JSON, id, strict
		`{"event_id":"a"}`:                       `{"event_id":"a"} a true`,
		" \t{ \"event_id\" : \"a\" } \r":         `{"event_id":"a"} a true`,
		`{}`:                                     `{}  true`,
		dup:                                      dup + ` b false`,
		`{"event_id":"a","event_\u0069d":7}`:     `{"event_id":"a","event_\u0069d":7}  false`,
		`{"x":1,"x":{"event_id":"q"}}`:           `{"x":1,"x":{"event_id":"q"}}  false`,
		`{"a":{"b":1,"b":2}}`:                    `{"a":{"b":1,"b":2}}  true`,
		`{"event":{"event_id":"in"},"event":{}}`: `{"event":{"event_id":"in"},"event":{}}  false`,
	} {
		ev, out, _, strict, err := Readable([]byte("before"), []byte(line), nil)
		if err != nil || string(out) != "before"+string(ev.JSON) {
			t.Errorf("%s: %v, %q", line, err, out)
			continue
		}
		id, _ := ev.ID(nil)
		if got := fmt.Sprintf("%s %s %v", ev.JSON, id, strict); got != want {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
	}
	deep := strings.Repeat("[", MaxDepth-2) + strings.Repeat("]", MaxDepth-2)
	if _, _, _, _, err := Readable(nil, []byte(`{"a":`+deep+`}`), nil); err != nil {
		t.Errorf("as deep as may be: %v", err)
	}
	for line, class := range map[string]error{
		``: ErrSyntax, `7`: ErrShape, `[]`: ErrShape, `null`: ErrShape, `{`: ErrSyntax, `{}}`: ErrSyntax, `{} {}`: ErrSyntax,
		`{},"event":{}`: ErrShape, `{},"x":{}`: ErrSyntax, `{},"x":1`: ErrSyntax, `{"a":1},"event":{"b":2}`: ErrShape,
		"{\"a\":\"\xff\"}": ErrSyntax, `{"a":"\ud800"}`: ErrSyntax, `{"a":1e999}`: ErrSyntax, `{"a":[` + deep + `]}`: ErrSyntax,
		`{"$serde_json::private::RawValue":"1"}`:                   ErrSyntax,
		`{"event_id":"` + strings.Repeat("i", MaxIDBytes+1) + `"}`: ErrShape,
		`{"a":"` + strings.Repeat("x", MaxBytes) + `"}`:            ErrTooLarge,
		`{"a":1,"a":1e999}`: ErrSyntax,
		"\ufeff{}":          ErrSyntax,
	} {
		ev, out, _, _, err := Readable([]byte("before"), []byte(line), nil)
		if !errors.Is(err, class) || string(out) != "before" || ev.JSON != nil {
			t.Errorf("%.40q: %v, want %v", line, err, class)
		}
		var e *Error
		if errors.As(err, &e) && e.Offset > len(line) {
			t.Errorf("%.40q: offset %d", line, e.Offset)
		}
	}
}

// FuzzReadable holds that whatever the strict door takes passes unchanged, and that
// what passes is one line without a break.
func FuzzReadable(f *testing.F) {
	for _, s := range []string{`{}`, `{},"event":{}`, `{"a":1,"a":2}`, `{"event_id":"a","event_id":"b"}`, "{\"a\":\n1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		ev, _, _, strict, err := Readable(nil, line, nil)
		hard, _, hardErr := Accept(nil, append(append([]byte(`{"event":`), line...), '}'))
		if err != nil {
			return
		}
		if strict != (hardErr == nil) || strict && (string(hard.JSON) != string(ev.JSON) || hard.IDOff != ev.IDOff) {
			t.Fatalf("%q: strict %v, the door says %v", line, strict, hardErr)
		}
		again, _, _, _, err := Readable(nil, ev.JSON, nil)
		if err != nil || string(again.JSON) != string(ev.JSON) || again.IDOff != ev.IDOff {
			t.Fatalf("%q became %q, and that %q, %v", line, ev.JSON, again.JSON, err)
		}
	})
}
