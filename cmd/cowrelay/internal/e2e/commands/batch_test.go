package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// numbered is lines of events without ids.
func numbered(from, to int) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		fmt.Fprintf(&b, "{\"n\":%d}\n", n)
	}
	return b.String()
}

// A slot whose events have no ids is posted, pulled to its end, and followed.
func TestUse_WithoutIDs(t *testing.T) {
	u := newUser(t, relaytest.Start(t, t.TempDir()))
	u.run(0, "", "slot", "new", "--save", "default")
	out, errs := u.run(0, numbered(1, 1500), "post", "-")
	u.equal(out, `{"stored":1500,"duplicate":0,"failed":0}`+"\n")
	u.equal(errs, "")
	out, _ = u.run(0, "", "pull")
	u.equal(out, numbered(1, 1500))
	out, _ = u.run(0, "", "pull", "--from", "1200")
	u.equal(out, numbered(1201, 1500))
	out, _ = u.run(0, "", "pull", "--from", "1100", "--limit", "7")
	u.equal(out, numbered(1101, 1107))
	out, _ = u.run(0, "", "pull", "--last", "1200")
	u.equal(out, numbered(301, 1500))
	out, _ = u.run(0, "", "pull", "--from", "1500", "--wait", "10ms")
	u.equal(out, "")
	_, errs = u.run(1, "", "pull", "--from", "1501")
	relaytest.Contains(t, errs, "the slot ends at position 1500")
	for n, want := range map[string]string{"1": numbered(1500, 1500), "-1": numbered(1, 1500), "0": "", "1400": numbered(101, 1500)} {
		out, _ = u.run(0, "", "tail", "-n", n)
		u.equal(out, want)
	}
	tail, fresh := u.follow(nil, "tail", "-f"), u.follow(nil, "tail", "-n", "0", "-f")
	tail.wait(t, func(out string) bool { return strings.Count(out, "\n") == 10 })
	// The second prints nothing before it has begun: post until it does.
	last := 1500
	fresh.wait(t, func(out string) bool {
		if out == "" {
			last++
			u.run(0, numbered(last, last), "post", "-")
		}
		return out != ""
	})
	u.run(0, numbered(last+1, last+1200), "post", "-")
	last += 1200
	end := func(out string) bool { return strings.HasSuffix(out, numbered(last, last)) }
	tail.wait(t, end)
	fresh.wait(t, end)
	u.equal(tail.out.String(), numbered(1491, last))
	var first int
	fmt.Sscanf(fresh.out.String(), `{"n":%d}`, &first)
	u.equal(fresh.out.String(), numbered(first, last))
}

// writeLines makes a file of events of about 300 bytes, some with an id.
func writeLines(t *testing.T, n int, hasID func(int) bool) (name string, text []byte) {
	t.Helper()
	for i := range n {
		line := relaytest.Event("w", i, 300)
		if !hasID(i) {
			line = bytes.Replace(line, []byte("event_id"), []byte("number"), 1)
		}
		text = append(append(text, line...), '\n')
	}
	return relaytest.WriteTemp(t, string(text)), text
}

// What goes in comes out, byte for byte.
func TestUse_PostFileRoundTrip(t *testing.T) {
	u := newUser(t, relaytest.Start(t, t.TempDir()))
	u.run(0, "", "slot", "new", "--save", "default")
	n := 100_000
	name, text := writeLines(t, n, func(i int) bool { return i%3 == 0 })
	began := time.Now()
	out, errs := u.run(0, "", "post", "--file", name)
	t.Logf("%d events in %v", n, time.Since(began))
	u.equal(out, fmt.Sprintf(`{"stored":%d,"duplicate":0,"failed":0}`+"\n", n))
	u.equal(errs, "")
	out, _ = u.run(0, "", "pull")
	if out != string(text) {
		t.Errorf("%d bytes come back, %d went in", len(out), len(text))
	}
	// Again: those with an id are there.
	out, _ = u.run(0, string(text[:bytes.Index(text, []byte(`{"event_id":"w-3000"`))]), "post", "-")
	relaytest.Contains(t, out, `"duplicate":1000`)
}

// A relay that is killed in the middle, again and again, while another writer posts:
// no line is lost, none is there twice, and the order is kept.
func TestUse_PostFileOverKills(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	bind := strings.TrimPrefix(r.URL, "http://")
	u := newUser(t, r)
	u.run(0, "", "slot", "new", "--save", "default")
	text, err := os.ReadFile(filepath.Join(strings.TrimPrefix(u.env[2], "COWRELAY_PROFILE_DIR="), "default.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s relaytest.Slot
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	n := relaytest.Scale(20_000, 100_000, 200_000)
	name, lines := writeLines(t, n, func(int) bool { return false })
	post := u.follow(nil, "post", "--file", name)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	others := func(url string) {
		writer.Go(func() { // it ends with the relay
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				if res, _, err := s.Send(relaytest.HTTPClient, "POST", url+"/v1/events/"+s.ID, []byte(`{"event":{"other":1}}`)); err != nil || res.StatusCode != 201 {
					return
				}
			}
		})
	}
	count := func() (n int) {
		var state struct {
			Events int `json:"event_count"`
		}
		if _, body, err := s.Send(relaytest.HTTPClient, "GET", "http://"+bind+"/v1/slot/"+s.ID+"/state", nil); err == nil {
			json.Unmarshal(body, &state)
		}
		return state.Events
	}
	kills := 0
	for k := 1; k <= 4; k++ {
		others(r.URL)
		for over := false; !over && count() < k*n/6; {
			select {
			case err := <-post.done:
				post.done <- err
				over = true
			case <-time.After(time.Millisecond):
			}
		}
		r.Kill()
		kills++
		writer.Wait()
		r = relaytest.New(t, dir)
		r.Cmd.Args = append(r.Cmd.Args, "--bind="+bind)
		r.Start()
	}
	if err := <-post.done; err != nil {
		t.Fatalf("post: %v\n%s", err, post.errs.String())
	}
	close(stop)
	u.equal(post.out.String(), fmt.Sprintf(`{"stored":%d,"duplicate":0,"failed":0}`+"\n", n))
	relaytest.Contains(t, post.errs.String(), "trying again", "the relay answers again")
	out, _ := u.run(0, "", "pull")
	if ours := strings.ReplaceAll(out, "{\"other\":1}\n", ""); ours != string(lines) {
		t.Errorf("%d bytes come back, %d went in, after %d kills", len(ours), len(lines), kills)
	}
}

// Lines that the relay refuses are told by their number, and the others are stored.
func TestUse_PostRefusedLines(t *testing.T) {
	u := newUser(t, relaytest.Start(t, t.TempDir()))
	u.run(0, "", "slot", "new", "--save", "default")
	var in, want strings.Builder
	var bad []string
	for n := 1; n <= 2500; n++ {
		line := fmt.Sprintf(`{"n":%d}`, n)
		switch {
		case n == 1 || n == 1000 || n == 2500 || n >= 1400 && n < 1420:
			line = fmt.Sprintf(`{"n":%de999}`, n) // for the relay to find
			bad = append(bad, fmt.Sprintf("post: line %d: ", n))
		case n == 1500:
			line = "nonsense"
			bad = append(bad, "post: line 1500: ")
		default:
			want.WriteString(line + "\n")
		}
		in.WriteString(line + "\n")
	}
	out, errs := u.run(1, in.String(), "post", "-")
	u.equal(out, fmt.Sprintf(`{"stored":%d,"duplicate":0,"failed":%d}`+"\n", 2500-len(bad), len(bad)))
	relaytest.Contains(t, errs, bad...)
	out, _ = u.run(0, "", "pull")
	u.equal(out, want.String())
}

// plainRelay is a relay before r that lacks what section 8 of the contract adds.
func plainRelay(t *testing.T, r *relaytest.Relay) string {
	t.Helper()
	to, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	relay := httputil.NewSingleHostReverseProxy(to)
	relay.FlushInterval = -1
	relay.ModifyResponse = func(res *http.Response) error {
		res.Header.Del("Relay-Next")
		res.Header.Del("Relay-End")
		return nil
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		query := q.URL.Query()
		for _, name := range []string{"from", "last", "ids", "wait"} {
			query.Del(name)
		}
		q.URL.RawQuery = query.Encode()
		switch {
		case strings.Contains(q.URL.Path, "/tokens"):
			w.WriteHeader(http.StatusNotFound)
		case q.Method == http.MethodPost && q.Header.Get("Content-Type") != "application/json":
			http.Error(w, "Expected request with `Content-Type: application/json`", http.StatusUnsupportedMediaType)
		default:
			relay.ServeHTTP(w, q)
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// At a relay without positions, batches and tokens the commands do what can be done,
// and say what can't.
func TestUse_PlainRelay(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	u.env[1] = "COWRELAY_RELAY=" + plainRelay(t, r)
	u.run(0, "", "slot", "new", "--save", "default")
	out, errs := u.run(1, numbered(1, 700)+"{\"n\":1e999}\n"+numbered(701, 900), "post", "-")
	u.equal(out, `{"stored":900,"duplicate":0,"failed":1}`+"\n")
	relaytest.Contains(t, errs, "the relay takes no batches: the events are posted one by one", "line 701: ")
	for _, x := range []struct{ want, args string }{
		{numbered(1, 900), "pull"}, {numbered(801, 900), "pull --from 800"}, {numbered(891, 900), "pull --last 10"}, {numbered(900, 900), "tail -n 1"},
	} {
		out, _ = u.run(0, "", strings.Fields(x.args)...)
		u.equal(out, x.want)
	}
	tail := u.follow(nil, "tail", "-n", "1", "-f")
	tail.wait(t, func(out string) bool { return out == numbered(900, 900) })
	u.run(0, numbered(901, 1100), "post", "-")
	tail.wait(t, func(out string) bool { return out == numbered(900, 1100) })
	_, errs = u.run(1, "", "pull")
	relaytest.Contains(t, errs, "after 1000 events", "the relay has no positions")
	for _, args := range []string{"token list", "token rotate", "token revoke x", "token new --may post", "slot share"} {
		out, errs = u.run(1, "", strings.Fields(args)...)
		u.equal(out, "")
		relaytest.Contains(t, errs, "knows no tokens with fewer rights")
	}
	_, errs = u.run(1, "", "tail", "-n", "1")
	relaytest.Contains(t, errs, "the relay has no positions")
}

// Lines that come slowly are posted as they come.
func TestUse_PostAsLinesCome(t *testing.T) {
	u := newUser(t, relaytest.Start(t, t.TempDir()))
	u.run(0, "", "slot", "new", "--save", "default")
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	post, tail := u.follow(in, "post", "-"), u.follow(nil, "tail", "-f", "-n", "-1")
	in.Close()
	for n := 1; n <= 5; n++ {
		typed.WriteString(numbered(n, n))
		tail.wait(t, func(out string) bool { return out == numbered(1, n) })
	}
	typed.WriteString(`{"n":`)
	time.Sleep(20 * time.Millisecond)
	typed.WriteString("6}") // the last line has no end
	typed.Close()
	if err := <-post.done; err != nil {
		t.Errorf("%v %s", err, post.errs.String())
	}
	tail.wait(t, func(out string) bool { return out == numbered(1, 6) })
	if lines := strings.Split(post.errs.String(), "\n"); !slices.Equal(lines, []string{""}) {
		t.Errorf("%q", lines)
	}
}
