package use

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

const benchLines = 100_000

// inputOf is lines of about 300 bytes.
func inputOf(n int) []byte {
	var text []byte
	for i := range n {
		text = append(append(text, relaytest.Event("w", i, 300)...), '\n')
	}
	return text
}

// Reading alone: what the command does for each line before it goes out.
func BenchmarkPost_ReadLines(b *testing.B) {
	text := inputOf(benchLines)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		in, out, n := newPostInput(bytes.NewReader(text)), new(outLines), 0
		for {
			it, err := in.view()
			if err == io.EOF {
				break
			}
			if err != nil || it.err != nil {
				b.Fatal(err, it.err)
			}
			if !out.add(it) {
				out.reset()
				out.add(it)
			}
			n++
		}
		if n != benchLines {
			b.Fatalf("%d lines", n)
		}
	}
	b.ReportMetric(benchLines*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// instant is a relay that stores batches at once and nowhere.
type instant struct {
	buf  []byte
	next int
}

func (f *instant) RoundTrip(r *http.Request) (*http.Response, error) {
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, ProtoMajor: 1, ProtoMinor: 1}
	answer := "[]"
	if r.Method == http.MethodPost {
		n := 0
		for {
			k, err := r.Body.Read(f.buf)
			n += bytes.Count(f.buf[:k], []byte{'\n'})
			if err != nil {
				break
			}
		}
		r.Body.Close()
		f.next += n
		res.StatusCode, answer = http.StatusCreated, fmt.Sprintf(`{"stored":%d,"duplicates":0,"next":%d}`, n, f.next)
	}
	res.Header.Set("Relay-Next", fmt.Sprint(f.next))
	res.Header.Set("Relay-End", fmt.Sprint(f.next))
	res.ContentLength, res.Body = int64(len(answer)), io.NopCloser(strings.NewReader(answer))
	return res, nil
}

// All of the client's side but the network.
func BenchmarkPost_Batches(b *testing.B) {
	text := inputOf(benchLines)
	c, err := relayclient.New("http://relay", relayclient.Options{HTTP: &http.Client{Transport: &instant{buf: make([]byte, 256<<10)}}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		p := &posting{input: newPostInput(bytes.NewReader(text)), parallel: 1, session: &slotSession{cmd: new(cobra.Command), mailbox: c.Slot("s", "t")}}
		if err := (&batches{posting: p}).run(context.Background(), p.prepared); err != nil || p.counts.Stored != benchLines || p.counts.Failed > 0 {
			b.Fatal(err, p.counts)
		}
	}
	b.ReportMetric(benchLines*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
