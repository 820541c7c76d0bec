package fasthttp

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"cowrelay/cow"
)

func parseSlot(text string) (cow.ID, bool) { return cow.ParseID([]byte(text)) }

func jsonString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// What is stored, pulled and streamed is the compacted event, byte for byte.
func TestEvents_ByteForByte(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	live := m.stream("", "")
	rows := []struct{ sent, kept string }{
		{`{"z":1,"a":2,"event_id":"one","Z":{"y":[],"x":{}}}`, ""},
		{`{"n":[1.0,1e5,1E+05,-0,-0.0,0.10,123456789012345678901234567890,1e-400,4.9e-324]}`, ""},
		{`{"s":"\u00e9é\/\"\\\b\f\n\r\t\u001f\ud83d\ude00\u2028  <>&"}`, ""},
		{`{"deep":{"a":1,"a":2},"unknown_field":null,"":true}`, ""},
		{" {\t\"a\" :\r\n [ 1 , 2 ] , \"event_id\" : \"two\" , \"s\" : \" keep  this \" } ", `{"a":[1,2],"event_id":"two","s":" keep  this "}`},
		{`{"event\u005fid":"three","event_id2":1}`, ""},
		{`{"EVENT_ID":"four","Event_Id":"x"}`, ""},
		{`{"inner":{"event_id":"no"},"event_id":["no"]}`, ""},
		{`{}`, ""},
	}
	var want []string
	for _, row := range rows {
		if row.kept == "" {
			row.kept = row.sent
		}
		want = append(want, row.kept)
		m.post(row.sent).want(t, 201)
	}
	page := g.call("GET", "/v1/events/"+m.id, m.token, nil).want(t, 200)
	if page.body != "["+strings.Join(want, ",")+"]" {
		t.Errorf("pulled:\n%s\nwant:\n[%s]", page.body, strings.Join(want, ","))
	}
	replay := m.stream("?since=none", "")
	for _, w := range want {
		if f := live.next(); f.data != w {
			t.Errorf("streamed live %q, want %q", f.data, w)
		}
		if f := replay.next(); f.data != w {
			t.Errorf("replayed %q, want %q", f.data, w)
		}
	}
	g.restart()
	if again := g.call("GET", "/v1/events/"+m.id, m.token, nil); again.body != page.body {
		t.Errorf("after a restart:\n%s", again.body)
	}
}

func TestEvents_IDs(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	long := strings.Repeat("x", 128)
	wide := strings.Repeat("é", 64)
	for _, row := range []struct{ event, id string }{
		{`{"event_id":"a"}`, `"a"`}, {`{"event_id":""}`, `""`}, {`{"event\u005fid":"b"}`, `"b"`}, {`{"event_id":"\u0063"}`, `"c"`},
		{`{"event_id":"` + long + `"}`, `"` + long + `"`}, {`{"event_id":"` + wide + `"}`, `"` + wide + `"`},
		{`{"event_id":"` + strings.Repeat(`\u0061`, 128) + `"}`, jsonString(strings.Repeat("a", 128))},
		{`{"event_id":"\r\n\u0000"}`, jsonString("\r\n\x00")}, {`{"event_id":"\ud83d\ude00"}`, `"😀"`},
		{`{"EVENT_ID":"a"}`, `null`}, {`{"event_id":1}`, `null`}, {`{"event_id":null}`, `null`}, {`{"event_id":{"a":"b"}}`, `null`},
		{`{"event_id":["a"]}`, `null`}, {`{"event_id":true}`, `null`}, {`{"x":{"event_id":"a"}}`, `null`}, {`{}`, `null`},
	} {
		for try, status := range []int{201, 200} {
			word := []string{"stored", "duplicate"}[try]
			if row.id == "null" {
				status, word = 201, "stored" // never a duplicate
			}
			r := m.post(row.event).want(t, status)
			var got, want any
			json.Unmarshal([]byte(r.body), &got)
			json.Unmarshal([]byte(`{"event_id":`+row.id+`,"status":"`+word+`"}`), &want)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%.60s: %s", row.event, r.body)
			}
		}
	}
	for _, event := range []string{
		`{"event_id":"` + long + `x"}`, `{"event_id":"` + wide + `x"}`, `{"event_id":"` + strings.Repeat(`\u00e9`, 65) + `"}`,
	} {
		m.post(event).want(t, 422)
	}
	// The same text in another spelling is the same id.
	m.post(`{"event_id":"\u0061"}`).want(t, 200)
	m.post(`{"event_id":"😀"}`).want(t, 200)
	m.post(`{"event_id":"A"}`).want(t, 201)
}

func TestEvents_Refusals(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	for body, status := range map[string]int{
		`{"event":[]}`: 422, `{"event":null}`: 422, `{"event":"x"}`: 422, `{"event":1}`: 422, `{}`: 422, `[]`: 422, `null`: 422, `"event"`: 422,
		`{"Event":{}}`: 422, `{"other":{}}`: 422,
		``: 400, `{`: 400, `{"event":{}`: 400, `{"event":{}}x`: 400, `{"event":{}}{}`: 400, `{"event":{},}`: 400, `{"event":{"a":1,}}`: 400,
		`{"event":{"a":01}}`: 400, `{"event":{"a":+1}}`: 400, `{"event":{"a":.5}}`: 400, `{"event":{"a":1.}}`: 400, `{"event":{"a":NaN}}`: 400,
		`{"event":{"a":1e309}}`: 400, `{"event":{"a":-1e309}}`: 400, `{"event":{"a":"\ud800"}}`: 400, `{"event":{"a":"\udc00\ud800"}}`: 400,
		"{\"event\":{\"a\":\"\xff\"}}": 400, "\xef\xbb\xbf{\"event\":{}}": 400, "{\"event\":{\"a\":\"\x01\"}}": 400, "{\"event\":{\"a\":\"\n\"}}": 400,
		`{"event":{"a":1,"a":2}}`: 400, `{"event":{"event_id":"x","event\u005fid":"y"}}`: 400, `{"event":{"a":1,"\u0061":2}}`: 400,
		`{"event":{"$serde_json::private::RawValue":"1"}}`: 400, `{"event":{"x":{"$serde_json::private::RawValue":1}}}`: 400,
		`{'event':{}}`: 400, `{"event":{}} // c`: 400, `{"event":{"a":1 2}}`: 400,
		`{"event":{"d":` + strings.Repeat("[", 126) + strings.Repeat("]", 126) + `}}`: 400,
		`{"event":{"d":` + strings.Repeat("[", 100_000):                               400,
	} {
		r := g.call("POST", "/v1/events/"+m.id, m.token, body)
		if r.status != status {
			t.Errorf("%.60q: status %d, want %d: %s", body, r.status, status, r.body)
		}
	}
	if got := m.pull(""); len(got) != 0 {
		t.Errorf("refused events are there: %v", got)
	}
	for _, body := range []string{
		`{"event":{"d":` + strings.Repeat("[", 125) + strings.Repeat("]", 125) + `}}`,
		`{"event":{},"other":[1,{}]}`, `{"other":1,"event":{}}`, "\n{\"event\":{}}\n", `{"\u0065vent":{}}`, `{"event":{"a":{"b":1,"b":2}}}`,
		`{"event":{"a":1e308}}`, `{"event":{"a":1,"$serde_json::private::RawValue":1}}`,
	} {
		g.call("POST", "/v1/events/"+m.id, m.token, body).want(t, 201)
	}
}

// bigEvent returns an event of exactly n bytes.
func bigEvent(id string, n int) string {
	head, tail := `{"event_id":"`+id+`","pad":"`, `"}`
	return head + strings.Repeat("p", n-len(head)-len(tail)) + tail
}

func TestEvents_SizeLimit(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	live := m.stream("", "")
	fits := bigEvent("fits", 262_144)
	m.post(fits).want(t, 201)
	if f := live.next(); f.data != fits {
		t.Errorf("streamed %d bytes, want %d", len(f.data), len(fits))
	}
	r := m.post(bigEvent("over", 262_145)).want(t, 413)
	if r.field(t, "max_bytes") != 262_144.0 {
		t.Errorf("413: %s", r.body)
	}
	// White space between tokens does not count, on any framing.
	padded := `{"event":` + strings.Repeat(" ", 1_500_000) + bigEvent("padded", 262_144) + "}"
	g.call("POST", "/v1/events/"+m.id, m.token, padded).want(t, 201)
	if got := m.pull(""); len(got) != 2 || got[0] != fits || got[1] != bigEvent("padded", 262_144) {
		t.Errorf("%d events pulled", len(got))
	}
}

func TestEvents_BodyLimit(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	body := func(id string, n int) string {
		head, tail := `{"event":{"event_id":"`+id+`"}`, `}`
		return head + strings.Repeat(" ", n-len(head)-len(tail)) + tail
	}
	for _, framing := range []string{"fixed", "chunked"} {
		in := func(s string) any {
			if framing == "chunked" {
				return io.MultiReader(strings.NewReader(s)) // of unknown length
			}
			return s
		}
		g.call("POST", "/v1/events/"+m.id, m.token, in(body(framing, 2<<20))).want(t, 201)
		for i, n := range []int{2<<20 + 1, 2<<20 + 100, 3 << 20} {
			if r := g.call("POST", "/v1/events/"+m.id, m.token, in(body(fmt.Sprint(framing, i), n))); r.status != 413 {
				t.Errorf("%s body of %d bytes: status %d: %s", framing, n, r.status, r.body)
			}
		}
	}
	if got := m.pull(""); len(got) != 2 {
		t.Errorf("%d events, want 2", len(got))
	}
}
