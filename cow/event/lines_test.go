package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lineByLine is AcceptLines again, by a call of Accept for each line.
func lineByLine(body []byte) (events []Event, line int, class error) {
	sum := 0
	for i, text := range bytes.Split(body, []byte("\n")) {
		text = bytes.Trim(text, " \t\r")
		if len(text) == 0 {
			continue
		}
		ev, _, err := Accept(nil, []byte(`{"event":`+string(text)+`}`))
		var bad *Error
		switch {
		case !json.Valid(text): // such as {},"x":{}: one event in a body and none in a line
			return nil, i + 1, ErrSyntax
		case errors.As(err, &bad):
			return nil, i + 1, bad.Class
		case len(events) == 1000:
			return nil, i + 1, ErrTooMany
		}
		if sum += len(ev.JSON); sum > 524_288 {
			return nil, i + 1, ErrTooMany
		}
		events = append(events, ev)
	}
	if len(events) == 0 {
		return nil, 0, ErrShape
	}
	return events, 0, nil
}

// agreeLines fails when AcceptLines and lineByLine differ on a body.
func agreeLines(t testing.TB, body []byte) {
	t.Helper()
	const before = "what dst held"
	sent := bytes.Clone(body)
	want, line, class := lineByLine(sent)
	had := []Event{{JSON: []byte("{}")}}
	got, out, err := AcceptLines([]byte(before), body, had)
	if !bytes.Equal(body, sent) {
		t.Fatalf("body changed from %.200q to %.200q", sent, body)
	}
	var bad *LineError
	if class != nil {
		if !errors.Is(err, class) || errors.As(err, &bad) != (line > 0) || bad != nil && bad.Line != line {
			t.Fatalf("%.200q: error %v, want line %d, %v", sent, err, line, class)
		}
		if len(got) != 1 || string(out) != before {
			t.Fatalf("%.200q: refused, and %d events and %q are there", sent, len(got), out)
		}
		return
	}
	if err != nil {
		t.Fatalf("%.200q is refused: %v", sent, err)
	}
	for i := range body {
		body[i] = 'X' // what the events may not depend on
	}
	all := before
	if len(got) != 1+len(want) {
		t.Fatalf("%.200q: %d events, want %d", sent, len(got)-1, len(want))
	}
	for i, ev := range got[1:] {
		if string(ev.JSON) != string(want[i].JSON) || ev.IDOff != want[i].IDOff {
			t.Fatalf("event %d is %.200q with its id at %d, want %.200q and %d", i, ev.JSON, ev.IDOff, want[i].JSON, want[i].IDOff)
		}
		if cap(ev.JSON) != len(ev.JSON) {
			t.Fatal("to append to an event would write over the next one")
		}
		all += string(ev.JSON)
	}
	if string(out) != all {
		t.Fatalf("out is %.200q, want %.200q", out, all)
	}
}

// The lines are judged as Accept judges bodies.
func FuzzAcceptLines(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("testdata", "hostile", "*", "*.json"))
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		inner := bytes.TrimSuffix(bytes.TrimPrefix(bytes.TrimSpace(body), []byte(`{"event":`)), []byte("}"))
		if len(body) < 1<<12 {
			f.Add([]byte("{\"a\":1}\r\n\n" + string(inner) + "\n[]"))
			f.Add(append(body, '\n'))
		}
	}
	for _, body := range oddLines() {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { agreeLines(t, body) })
}

func oddLines() []string {
	nest := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	fat := func(n int) string { return `{"p":"` + strings.Repeat("q", n-8) + `"}` }
	return []string{
		"", "\n", " \r\n\t\n", "{}", "{}\n", "\r\n{}\r\n", " { \"a\" : 1 } \r\n\r\n{}", "{} {}", "{}\n{}{}", "{},\"x\":{}", "{}}", "{\n}",
		"\ufeff{}", "{}\n\ufeff{}", "null", "{}\n3\n{", "{}\n{\n3", `{"event_id":"` + strings.Repeat("i", 129) + `"}`, `{"a":1,"a":2}`, `{"event":{"a":1,"a":2}}`,
		`{"event_id":"a"}` + "\n" + ` {"x": 1, "event_id" : "\u0061"}`, "{}\v", "{}\f\n", "\x00", "{}\x00\n", "{\"a\":1e309}", "{\"a\":\"\\ud800\"}",
		nest(125), nest(126), strings.Repeat("{}\n", 1000), strings.Repeat("{}\n", 1001), strings.Repeat("\n", 3000) + "{}", strings.Repeat("{}\n", 1000) + "{",
		fat(MaxBytes), fat(MaxBytes + 1), fat(MaxBytes) + "\n" + fat(MaxBytes), fat(MaxBytes) + "\n" + fat(MaxBytes) + "\n\n{}", fat(MaxBytes) + "\n" + fat(MaxBytes-1) + "\n{}",
		fat(MaxBytes) + "\n" + fat(MaxBytes-2) + "\n{}", fat(MaxBytes) + "\n{}\n" + fat(MaxBytes+1), `{"$serde_json::private::RawValue":1}`,
	}
}

func TestAcceptLines(t *testing.T) {
	for _, body := range oddLines() {
		agreeLines(t, []byte(body))
	}
	// Bodies of whole lines, some of them broken.
	r := rand.New(rand.NewPCG(1, 2))
	odd := oddLines()
	for range 2000 {
		var b bytes.Buffer
		for range r.IntN(6) {
			switch line := odd[r.IntN(len(odd))]; {
			case r.IntN(3) > 0:
				fmt.Fprintf(&b, `{"event_id":"e%d", "n": [ %d ]}`, r.IntN(5), r.IntN(100))
			case len(line) < 200:
				b.WriteString(line)
			}
			b.WriteByte('\n')
		}
		agreeLines(t, b.Bytes())
	}
}

func TestAcceptLines_Texts(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{"\n{}\n\n  {]", "bad JSON: invalid character at start of value (line=4, offset=3)"},
		{"{}\n7", "wrong shape: the event is not an object (line=2, offset=0)"},
		{" \n", "wrong shape: the body holds no event (offset=0)"},
		{strings.Repeat("{}\n", 1001), "too many events: a body holds at most 1000 events (line=1001, offset=0)"},
	} {
		if _, _, err := AcceptLines(nil, []byte(tt.body), nil); err == nil || err.Error() != tt.want {
			t.Errorf("%.20q: %v, want %s", tt.body, err, tt.want)
		}
	}
}

// linesBody is n events of about size bytes.
func linesBody(n, size int) []byte {
	var b bytes.Buffer
	for i := range n {
		one := benchBody(size)
		one = bytes.Replace(one, []byte("0123456789abcdef"), fmt.Appendf(nil, "%016x", i), 1)
		b.Write(one[len(`{"event":`) : len(one)-1])
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// One walk over 1,000 lines, beside a call of Accept for each.
func BenchmarkAcceptLines(b *testing.B) {
	body := linesBody(1000, 500)
	dst, events := make([]byte, 0, MaxLinesBytes), make([]Event, 0, MaxLines)
	b.Run("lines", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := AcceptLines(dst, body, events); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("twin=Accept", func(b *testing.B) {
		var bodies [][]byte
		for line := range bytes.Lines(body) {
			bodies = append(bodies, []byte(`{"event":`+string(line)+`}`))
		}
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			out, list := dst, events
			for _, one := range bodies {
				ev, more, err := Accept(out, one)
				if err != nil {
					b.Fatal(err)
				}
				out, list = more, append(list, ev)
			}
		}
	})
}
