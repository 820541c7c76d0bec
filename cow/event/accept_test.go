package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fastjson"
)

// mustAccept checks everything that holds for each accepted body and returns
// the event.
func mustAccept(t testing.TB, body []byte) Event {
	t.Helper()
	const before = "what dst held"
	sent := bytes.Clone(body)
	ev, out, err := Accept([]byte(before), body)
	if err != nil {
		t.Fatalf("refused %.200q: %v", sent, err)
	}
	if !bytes.Equal(body, sent) {
		t.Fatalf("body changed from %.200q to %.200q", sent, body)
	}
	for i := range body {
		body[i] = 'X' // what the event may not depend on
	}
	if string(out) != before+string(ev.JSON) {
		t.Fatalf("out is %.200q, the event %.200q", out, ev.JSON)
	}

	var members map[string]json.RawMessage
	if err := json.Unmarshal(sent, &members); err != nil {
		t.Fatalf("accepted, but encoding/json says %v: %.200q", err, sent)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, members["event"]); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ev.JSON, compact.Bytes()) {
		t.Fatalf("compacted to\n%.200q, want\n%.200q", ev.JSON, compact.Bytes())
	}
	if len(ev.JSON) > MaxBytes {
		t.Fatalf("accepted an event of %d bytes", len(ev.JSON))
	}

	// The id, as a map decode gives it. The decode also holds that numbers are
	// finite for Go.
	var fields map[string]any
	if err := json.Unmarshal(ev.JSON, &fields); err != nil {
		t.Fatalf("event does not decode: %v: %.200q", err, ev.JSON)
	}
	want, wantOK := fields["event_id"].(string)
	got, ok := ev.ID(nil)
	if string(got) != want || ok != wantOK {
		t.Fatalf("id is %q, %v, want %q, %v in %.200q", got, ok, want, wantOK, ev.JSON)
	}
	if ok != (ev.IDOff != 0) || ok && (ev.JSON[ev.IDOff] != '"' || ev.JSON[ev.IDOff-1] != ':') {
		t.Fatalf("IDOff %d in %.200q", ev.IDOff, ev.JSON)
	}
	if len(got) > MaxIDBytes {
		t.Fatalf("accepted an id of %d bytes", len(got))
	}

	// A second parser, on the body and on a page.
	page := "[" + string(ev.JSON) + "," + string(ev.JSON) + "]"
	for _, text := range []string{string(sent), page} {
		if _, err := fastjson.Parse(text); err != nil {
			t.Fatalf("accepted, but fastjson says %v: %.200q", err, text)
		}
		if err := fastjson.Validate(text); err != nil {
			t.Fatalf("accepted, but fastjson.Validate says %v: %.200q", err, text)
		}
	}

	// What was accepted is accepted again and stays as it is.
	again, _, err := Accept(nil, []byte(`{"event":`+string(ev.JSON)+`}`))
	if err != nil || !bytes.Equal(again.JSON, ev.JSON) || again.IDOff != ev.IDOff {
		t.Fatalf("the second time: %.200q, %d, %v", again.JSON, again.IDOff, err)
	}
	return ev
}

// clientsTrip are the words in an error that clients take for another failure.
var clientsTrip = regexp.MustCompile(`(^|[\s:])(404|410)([\s:]|$)|connection refused|operation timed out|certificate`)

// mustRefuse checks everything that holds for each refused body.
func mustRefuse(t testing.TB, body []byte, class error) *Error {
	t.Helper()
	dst := []byte("what dst held")
	ev, out, err := Accept(dst, body)
	if err == nil {
		t.Fatalf("accepted %.200q, want %v", body, class)
	}
	var fault *Error
	if !errors.Is(err, class) || !errors.As(err, &fault) {
		t.Fatalf("%.200q: %v (%T), want %v", body, err, err, class)
	}
	if string(out) != "what dst held" || ev.JSON != nil || ev.IDOff != 0 {
		t.Fatalf("refused, but returned %q and %.200q", out, ev.JSON)
	}
	if fault.Offset < 0 || fault.Offset > len(body) {
		t.Fatalf("offset %d of %d", fault.Offset, len(body))
	}
	text := err.Error()
	if clientsTrip.MatchString(text) {
		t.Fatalf("clients would misread %q", text)
	}
	for _, c := range text {
		if c < ' ' || c > '~' {
			t.Fatalf("error text %q", text)
		}
	}
	return fault
}

var classes = map[string]error{"400": ErrSyntax, "422": ErrShape, "413": ErrTooLarge}

// The files are request bodies. Those to refuse say in their name with what.
func TestAccept_I8_Hostile(t *testing.T) {
	files := func(dir string) []string {
		names, err := filepath.Glob(filepath.Join("testdata", "hostile", dir, "*.json"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		return names
	}
	read := func(t *testing.T, name string) []byte {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	for _, name := range files("accept") {
		t.Run("accept/"+filepath.Base(name), func(t *testing.T) {
			body := read(t, name)
			if got := modelAccept(body); got != nil && got != errUnsure {
				t.Errorf("the model says %v", got)
			}
			mustAccept(t, body)
		})
	}
	for _, name := range files("refuse") {
		t.Run("refuse/"+filepath.Base(name), func(t *testing.T) {
			class := classes[filepath.Base(name)[:3]]
			if class == nil {
				t.Fatal("the file's name says no status")
			}
			body := read(t, name)
			if got := modelAccept(body); got != class && got != errUnsure {
				t.Errorf("the model says %v", got)
			}
			mustRefuse(t, body, class)
		})
	}
}

func TestAccept_CompactsAndKeepsTheRest(t *testing.T) {
	for _, c := range [][2]string{
		{`{"event":{}}`, `{}`},
		{` { "event" : { } } `, `{}`},
		{"{\"event\":\r\n\t{ \"b\" : [ 1 , 2.50 , [ ] , { } ] , \"a\" : -0 }\n}", `{"b":[1,2.50,[],{}],"a":-0}`},
		{`{"event":{"a":"x  y\u0020 \/","b":1E+2}}`, `{"a":"x  y\u0020 \/","b":1E+2}`},
		{`{"event":{"é":"` + "\u2028" + `"} ,"x":{ "event_id" : "no" }}`, `{"é":"` + "\u2028" + `"}`},
		{`{"x":{"event":{"event_id":"no"}},"event":{"z":1 }}`, `{"z":1}`},
		{`{"event":{"a":{"x":1,"x":2}}, "x": [ 1 ]}`, `{"a":{"x":1,"x":2}}`},
	} {
		if got := mustAccept(t, []byte(c[0])); string(got.JSON) != c[1] {
			t.Errorf("%s: got %s, want %s", c[0], got.JSON, c[1])
		}
	}
}

func TestAccept_ID(t *testing.T) {
	for _, c := range []struct{ event, id string }{
		{`{"event_id":"x"}`, "x"},
		{`{"a":1,"event_id" : "x" ,"b":2}`, "x"},
		{` { "a" : [ "event_id" , "y" ] , "event_id" : "x" } `, "x"},
		{`{"event\u005fid":"x"}`, "x"},
		{`{"\u0065\u0076\u0065\u006e\u0074\u005f\u0069\u0064":"x"}`, "x"},
		{`{"event_id":"\ud83d\ude00\""}`, "😀\""},
		{`{"event_id":""}`, ""},
		{`{"event_id":"` + strings.Repeat("x", 128) + `"}`, strings.Repeat("x", 128)},
		{`{"event_id":"` + strings.Repeat(`\u0078`, 128) + `"}`, strings.Repeat("x", 128)},
		{`{"body":{"event_id":"y"},"event_id":"x"}`, "x"},
		{`{"EVENT_ID":"y"}`, "none"},
		{`{"event_id ":"y"}`, "none"},
		{`{"event_id":7}`, "none"},
		{`{"event_id":null}`, "none"},
		{`{"event_id":{"event_id":"y"}}`, "none"},
		{`{"event_id":["y"],"a":"b"}`, "none"},
		{`{"body":{"event_id":"y"}}`, "none"},
	} {
		got, ok := mustAccept(t, []byte(`{"event":`+c.event+`}`)).ID(nil)
		if ok != (c.id != "none") || ok && string(got) != c.id {
			t.Errorf("%s: got %q, %v, want %q", c.event, got, ok, c.id)
		}
	}
}

func TestAccept_EventSize(t *testing.T) {
	event := func(n int) string {
		return `{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}`
	}
	mustAccept(t, []byte(`{"event":`+event(MaxBytes)+`}`))
	mustAccept(t, []byte(`{"event":`+strings.Replace(event(MaxBytes), ":", strings.Repeat(" ", MaxBytes)+":", 1)+`,"x":`+event(MaxBytes)+`}`))
	mustRefuse(t, []byte(`{"event":`+event(MaxBytes+1)+`}`), ErrTooLarge)
	// 400 and 422 come first.
	mustRefuse(t, []byte(`{"event":`+event(MaxBytes+1)+`,"x":01}`), ErrSyntax)
	mustRefuse(t, []byte(`{"event":`+event(MaxBytes+1)+`,"event":{}}`), ErrShape)
}

// Of an event that is too large no more is kept than an event may have.
func TestAccept_TooLargeIsNotKept(t *testing.T) {
	for _, body := range []string{
		`{"event":{"pad":"` + strings.Repeat("x", 1_900_000) + `"}}`,
		`{"event":{"pad":[` + strings.Repeat("1, ", 600_000) + `1]}}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, out, err := Accept(nil, []byte(body))
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrTooLarge) || len(out) != 0 {
			t.Fatalf("%v, %d bytes", err, len(out))
		}
		const copies = 6 // of what grows
		if took := after.TotalAlloc - before.TotalAlloc - uint64(len(body)); took > copies*MaxBytes {
			t.Errorf("%d KiB for a body of %d", took>>10, len(body)>>10)
		}
	}
}

func TestAccept_Texts(t *testing.T) {
	for _, c := range []struct {
		body, text string
	}{
		{``, "bad JSON: the body is empty (offset=0)"},
		{`{"event":`, "bad JSON: the body ends too early (offset=9)"},
		{`{"event":{}} {}`, "bad JSON: data after the document (offset=12)"},
		{`{"event":{}} x`, "bad JSON: invalid character at start of value (offset=13)"},
		{`{"event":{"a":01}}`, "bad JSON: invalid character after object value (expecting ',' or '}') (offset=15)"},
		{`{"event":{"a":"\u 404 "}}`, "bad JSON: invalid escape sequence in string (offset=15)"},
		{`{"event":{"a":"` + "\xff" + `"}}`, "bad JSON: invalid UTF-8 (offset=15)"},
		{`{"event":{"a":"` + "\x01" + `"}}`, "bad JSON: invalid character in string (expecting non-control character) (offset=15)"},
		{`{"event":{"a":"\ud800\ud800"}}`, "bad JSON: invalid surrogate pair in string (offset=15)"},
		{`{"event":{"a":1,"a":2}}`, "bad JSON: a key is repeated at the top level of the event (offset=16)"},
		{`{"event":{" 404 ":}}`, "bad JSON: missing value after object name (offset=18)"},
		{`{"event":{"a":1e999}}`, "bad JSON: a number is out of range (offset=14)"},
		{`[]`, "wrong shape: the body is not an object (offset=0)"},
		{`{}`, `wrong shape: the body has no "event" (offset=2)`},
		{`{"event":3}`, `wrong shape: "event" is not an object (offset=9)`},
		{`{"event":{},"event":{}}`, `wrong shape: the key "event" is repeated (offset=12)`},
	} {
		_, _, err := Accept(nil, []byte(c.body))
		if err == nil || err.Error() != c.text {
			t.Errorf("%s:\n got %v\nwant %s", c.body, err, c.text)
		}
	}
	// Whatever is wrong, and wherever.
	for _, at := range []int{404, 410} {
		for _, bad := range []string{"01", "\x80", `"\ud800"`, "1e999", "\xef\xbb\xbf", "404", ""} {
			body := strings.Repeat(" ", at-len(`{"event":`)) + `{"event":` + bad + "}"
			class := ErrSyntax
			if bad == "404" {
				class = ErrShape
			}
			if got := mustRefuse(t, []byte(body), class).Offset; got < at || got > at+1 {
				t.Errorf("%q: offset %d, want about %d", bad, got, at)
			}
		}
	}
}

func TestAccept_EveryPrefixAndByte(t *testing.T) {
	body := []byte(`{"x":[1,{"y":null}],"event":{"event_id":"a\u00e9","n":-1.5e3,"t":true,"o":{"a":[]},"s":"é😀"}}`)
	mustAccept(t, bytes.Clone(body))
	for n := range body {
		mustRefuse(t, body[:n], ErrSyntax)
	}
	for i := range body {
		for c := range 256 {
			changed := bytes.Clone(body)
			changed[i] = byte(c)
			agree(t, changed)
		}
	}
}

// A sender must not make the search for repeated keys quadratic: 100,000 keys
// take as long as other JSON of that size, give or take the hashing.
func TestAccept_ManyKeys(t *testing.T) {
	const n = 100_000
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"key%06d":0,`, i)
	}
	began := time.Now()
	mustRefuse(t, []byte(`{"event":{`+b.String()+`"z":0}}`), ErrTooLarge)
	mustRefuse(t, []byte(`{"event":{`+b.String()+`"key099999":0}}`), ErrSyntax)
	mustRefuse(t, []byte(`{"event":{`+b.String()+`"key\u00300000\u0030":0}}`), ErrSyntax)
	// Measured: 25 ms each. Comparing all with all would take minutes.
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	for _, n := range []int{1, 2, 23, 24, 25, 26, 100} {
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprintf(`"k%d":0`, i))
		}
		all := strings.Join(keys, ",")
		mustAccept(t, []byte(`{"event":{`+all+`}}`))
		for i := range n {
			mustRefuse(t, []byte(`{"event":{`+all+fmt.Sprintf(`,"\u006b%d":0}}`, i)), ErrSyntax)
		}
	}
}

func TestAccept_KeepsNothing(t *testing.T) {
	a := acceptors.New().(*acceptor)
	for _, body := range []string{
		`{"event":{"event_id":"x","a":1}}`,
		`{"event":{"a":1,"a":2}}`,
		`{"event":{"a":"\ud800"}}`,
		`{"event":`,
	} {
		a.reset([]byte("[]")[:1], []byte(body))
		fault := a.accept()
		if (fault == nil) != strings.Contains(body, "event_id") {
			t.Fatalf("%s: %v", body, fault)
		}
		a.reset(nil, nil)
		if w := a.walk; w.body != nil || w.dst != nil || w.names.n != 0 || w.names.few[0] != nil || w.names.many != nil {
			t.Errorf("%s: the walk keeps %+v", body, w)
		}
		if a.src.Cap() != 0 || cap(a.dec.UnreadBuffer()) != 0 {
			t.Errorf("%s: the decoder keeps the body", body)
		}
	}
}

func TestAccept_Allocs(t *testing.T) {
	for _, size := range []int{512, 4 << 10, 128 << 10} {
		body := benchBody(size)
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "", "\t"); err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, 0, MaxBytes)
		for _, body := range [][]byte{body, indented.Bytes()} {
			var err error
			var id []byte
			allocs := testing.AllocsPerRun(100, func() {
				var ev Event
				ev, _, err = Accept(dst, body)
				id, _ = ev.ID(nil)
			})
			if err != nil || len(id) != 64 {
				t.Fatal(err, len(id))
			}
			// The race detector makes a sync.Pool forget at random, which is
			// more than one allocation in a run of them.
			if allocs != 0 && !raceDetector() {
				t.Errorf("%d bytes: %v allocations", len(body), allocs)
			}
		}
	}
}

// raceDetector tells by what sync.Pool does under it: Put drops at random.
func raceDetector() bool {
	for range 64 {
		a := acceptors.New().(*acceptor)
		acceptors.Put(a)
		if b := acceptors.Get(); b != a {
			return true
		}
		acceptors.Put(a)
	}
	return false
}

func TestAccept_Concurrent(t *testing.T) {
	done := make(chan string)
	for g := range 4 {
		go func() {
			var dst []byte
			for i := range 2000 {
				id := fmt.Sprintf("%d-%d", g, i)
				body := fmt.Sprintf(`{"event":{"k%d":[1, 2],"event_id":%q}}`, i, id)
				if i%7 == 0 {
					body += "x"
				}
				ev, out, err := Accept(dst[:0], []byte(body))
				dst = out
				got, ok := ev.ID(nil)
				if (err == nil) != (i%7 != 0) || err == nil && (!ok || string(got) != id) {
					done <- fmt.Sprintf("%s: %q, %v", body, got, err)
					return
				}
			}
			done <- ""
		}()
	}
	for range 4 {
		if fault := <-done; fault != "" {
			t.Error(fault)
		}
	}
}

func TestFinite(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("0", n) }
	for _, c := range []struct {
		num string
		ok  bool
	}{
		{"0", true}, {"-0", true}, {"1e308", true}, {"1e309", false}, {"-1e309", false},
		{"1.7976931348623157e308", true}, {"1.797693134862316e308", false},
		{"17976931348623157e292", true}, {"0.17976931348623157E+309", true},
		// Finite for Go, but not for serde_json.
		{"1797693134862315708e290", false}, {"1.7976931348623158e308", false},
		{strings.Repeat("9", 308), true}, {"-" + strings.Repeat("9", 308), true},
		{strings.Repeat("9", 309), false}, {"1" + zeros(308), true}, {"1" + zeros(309), false},
		{"1" + zeros(308) + ".5", true}, {"1" + zeros(400) + "e-100", true}, {"1" + zeros(400) + "e-90", false},
		{"0." + zeros(99) + "1e408", true}, {"0." + zeros(99) + "1e409", false},
		{"1e-400", true}, {"1e-99999999999999999999", true}, {"1e99999999999999999999", false},
		{"0e99999999", true}, {"-0e99999999999999999999", true}, {"0.000e-99999999999999999999", true},
		{"0." + zeros(50_000) + "1e50000", true}, {"0." + zeros(50_000) + "1e100000", false},
		{"0." + zeros(200_000) + "1e200000", true}, {"0." + zeros(200_000) + "1e200400", false},
	} {
		if got := finite([]byte(c.num)); got != c.ok {
			t.Errorf("%.40s (%d digits): %v, want %v", c.num, len(c.num), got, c.ok)
		}
	}
}
