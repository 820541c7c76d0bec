package fasthttp

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"cowrelay/cow/event"
)

// The very bytes of a stream, for clients of either protocol: lines that are no
// frames have no blank line behind them, each chunk is a line or a frame, and
// the last one comes where the relay ends the stream. In the order of row: the
// comments of the opening and of silence, a frame without id, one with; and the
// end by a drain, by the slot's removal, and by its block.
func TestStream_BytesOnTheWire(t *testing.T) {
	const (
		head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n" +
			"X-Accel-Buffering: no\r\nConnection: close\r\n"
		bare = `{"n":1}`
	)
	retry := regexp.MustCompile(`retry: [1-9][0-9]{2,4}\n`)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/1.0"} {
		for _, end := range []string{"drain", "gone", "blocked"} {
			t.Run(protocol+"/"+end, func(t *testing.T) {
				t.Parallel()
				g := newRig(t, func(o *rigOptions) { o.relay.Heartbeat = 300 * time.Millisecond })
				m := g.allocate()
				w := g.dial()
				w.send(m.streamRequest(protocol, "", ""))
				var got strings.Builder
				until := func(part string) { // and past comments of a slow machine
					t.Helper()
					for b := make([]byte, 1); !strings.HasSuffix(got.String(), part); {
						if _, err := w.br.Read(b); err != nil {
							t.Fatalf("%v after %q; want %q next", err, got.String(), part)
						}
						got.Write(b)
					}
				}
				until(": alive\n")
				m.post(bare).want(t, 201)
				until(bare)
				m.post(eventN(0)).want(t, 201)
				until(eventN(0))
				switch end {
				case "drain":
					g.stop()
				case "gone":
					g.call("DELETE", "/v1/slot/"+m.id, m.owner, nil).want(t, 204)
				case "blocked":
					id, _ := parseSlot(m.id)
					if err := g.store.Block(g.store.Slot(id), []byte("x")); err != nil {
						t.Fatal(err)
					}
				}
				rest, err := io.ReadAll(w.br)
				if err != nil {
					t.Fatal(err)
				}
				all := got.String() + string(rest)
				last := ""
				if end == "drain" {
					if last = retry.FindString(all); last == "" {
						t.Errorf("no retry line in %q", all)
					}
				}
				text := ""
				for _, part := range []string{": open\n", "data: " + bare + "\n\n", "id: e0\ndata: " + eventN(0) + "\n\n", last} {
					switch {
					case part == "":
					case protocol == "HTTP/1.1":
						text += fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
					default:
						text += part
					}
				}
				comment, want := ": alive\n", head+"\r\n"+text
				if protocol == "HTTP/1.1" {
					comment, want = "8\r\n: alive\n\r\n", head+"Transfer-Encoding: chunked\r\n\r\n"+text+"0\r\n\r\n"
				}
				if n := strings.Count(all, comment); n == 0 || strings.ReplaceAll(all, comment, "") != want {
					t.Errorf("%d comments in\n%q\nwant, but for them,\n%q", n, all, want)
				}
			})
		}
	}
}

// Clients of HTTP/1.0 read the same events, each once, beside those of 1.1:
// long ones too, from the slot and live.
func TestStream_HTTP10(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	sizes := []int{30, 70_000, event.MaxBytes, 200, 65_500}
	for i, n := range sizes {
		m.post(bigEvent(fmt.Sprint(i), n)).want(t, 201)
	}
	w := g.dial()
	w.send(m.streamRequest("HTTP/1.0", "?since=", ""))
	old, _ := w.openStreamIn(false)
	streams := []*sse{old, m.stream("?since=", "")}
	for i, n := range sizes {
		m.post(bigEvent(fmt.Sprint("live", i), n)).want(t, 201)
	}
	for _, s := range streams {
		for _, live := range []string{"", "live"} {
			for i, n := range sizes {
				id := fmt.Sprint(live, i)
				if f := s.next(); f.id != id || f.data != bigEvent(id, n) {
					t.Fatalf("frame %q of %d bytes, want %q of %d", f.id, len(f.data), id, n)
				}
			}
		}
	}
	g.stop()
	for _, s := range streams {
		s.wantEnd()
	}
}
