package cow_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

// FuzzFrames posts what the input holds, line by line, reads it back as a
// stream in writes of any size, and parses that as a browser does.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(`{"event_id":"a"}`+"\n"+`{"x": [1, 2]}`), uint16(7), true)
	f.Add([]byte(`{"event_id":"line\nfeed"}`+"\n"+`{"event_id":"\u0000"}`+"\n"+`{"event_id":"\r"}`), uint16(1), false)
	f.Add([]byte(`{"event_id":""}`+"\n"+`{"event_id":" lead"}`+"\n"+`{"event_id":"data: x","d":"\n\ndata: y"}`), uint16(300), true)
	f.Add([]byte(`{"event_id":"é☃😀"}`+"\n"+`{"event_id":3,"id":"\"\\\u2028"}`), uint16(2), false)
	f.Fuzz(func(t *testing.T, input []byte, size uint16, shared bool) {
		if len(input) > 4096 {
			input = input[:4096]
		}
		fx := open(t, cow.Options{})
		defer fx.close()
		slot := fx.slot()
		for ids := range frame.Kinds {
			keep, err := fx.subscribeAt(slot, cow.Newest(), ids)
			if err != nil {
				t.Fatal(err)
			}
			defer keep.Close()
		}
		var want []message
		for line := range bytes.Lines(input) {
			if !json.Valid(line) {
				continue // a line may close the body's object and go on
			}
			p := fx.NewPost()
			if p.Accept([]byte(`{"event":`+string(line)+`}`)) != nil {
				p.Release()
				continue
			}
			dup, err := p.Commit(slot)
			if err != nil {
				t.Fatal(err)
			}
			if !dup {
				want = append(want, expect(t, line, p.RawID()))
			}
			p.Release()
		}
		if !shared {
			fx.DropFrames(slot)
		}
		for ids := range frame.Kinds {
			if ids == frame.Positions {
				for i := range want {
					want[i].id, want[i].has = strconv.Itoa(i), true
				}
			}
			st, err := fx.subscribeAt(slot, cow.Oldest(), ids)
			if err != nil {
				t.Fatal(err)
			}
			messages := parseStream(t, unwrap(t, st.inWrites(t, int(size)+1)))
			st.Close()
			if len(messages) != len(want) {
				t.Fatalf("%d messages of %d events", len(messages), len(want))
			}
			for i, m := range messages {
				if m != want[i] {
					t.Fatalf("message %d is %+v, want %+v", i, m, want[i])
				}
			}
		}
	})
}

// inWrites reads what is there, in writes of at most n bytes.
func (st *stream) inWrites(t *testing.T, n int) string {
	t.Helper()
	var got []byte
	for {
		data, err := st.piece()
		if err != nil {
			t.Fatal(err)
		}
		if data == nil {
			return string(got)
		}
		data = data[:min(len(data), n)]
		got = append(got, data...)
		st.Wrote(len(data))
	}
}

// message is what a client of an event stream is given.
type message struct {
	id   string
	has  bool // the frame had an id line
	data string
}

// expect says what the message of an event must be, by another parser.
func expect(t *testing.T, event, rawID []byte) message {
	var compact bytes.Buffer
	if err := json.Compact(&compact, event); err != nil {
		t.Fatal(err)
	}
	m := message{data: compact.String()}
	if rawID != nil {
		if err := json.Unmarshal(rawID, &m.id); err != nil {
			t.Fatalf("id %s: %v", rawID, err)
		}
		isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
		if m.has = m.id != "" && strings.Trim(m.id, " \t") == m.id && !strings.ContainsFunc(m.id, isControl); !m.has {
			m.id = ""
		}
	}
	return m
}

// parseStream follows "Interpreting an event stream" of the HTML standard, and
// takes nothing but the fields that we send.
func parseStream(t *testing.T, text string) (list []message) {
	t.Helper()
	var m message
	lines := strings.FieldsFunc(strings.NewReplacer("\r\n", "\x00\n", "\r", "\x00\n", "\n", "\x00\n").Replace(text), func(r rune) bool { return r == '\n' })
	data := false
	for _, line := range lines {
		line = strings.TrimSuffix(line, "\x00")
		if line == "" {
			if !data {
				t.Fatalf("an empty message in %q", text)
			}
			list = append(list, m)
			m, data = message{}, false
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "id" && !m.has && !data:
			m.id, m.has = value, true
		case name == "data" && !data:
			m.data, data = value, true
		default:
			t.Fatalf("line %q in %q", line, text)
		}
	}
	if data || m.has {
		t.Fatalf("the stream ends within a message: %q", text)
	}
	return list
}
