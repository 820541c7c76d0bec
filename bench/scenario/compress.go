package scenario

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"

	"github.com/klauspost/compress/zstd"
)

// compressPage is how many events a page of compress has: the contract's default.
const compressPage = 100

// Compress takes pages of signed events plain, in gzip and in zstd, one after the other
// on one relay. Hot pages are 20 that come again and again. Cold ones are pages at random
// places of a slot that is much longer than what the relay keeps compressed. There is no
// bound: what is compared are the results, each with its CPU time and bytes a page.
func Compress(cfg *run.Config) []run.Variant {
	var out []run.Variant
	for _, kind := range []string{"hot", "cold"} {
		for _, coding := range []string{"identity", "gzip", "zstd"} {
			for _, conns := range cfg.ConnsOr(1) {
				r := &compressRunner{coding: coding, conns: conns, pages: 20, events: 2000}
				v := run.Variant{
					Scenario: "compress", Text: fmt.Sprintf("%s, %s, %d conns, %d events", coding, kind, conns, compressPage),
					Unit: "requests", Files: conns,
				}
				if kind == "cold" {
					r.pages, r.events = 0, 30_000
					v.RelayArgs = []string{"--memory-budget=96MiB"}
				}
				v.Bound.EventBytes = cfg.EventBytesOr(600)
				v.Open = func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
					r.e, r.s = e, s
					return r, r.fill(ctx, v.Bound.EventBytes)
				}
				v.Finish = func(res *report.Result) {
					if n := r.took.Load(); n > 0 {
						res.Notes = append(res.Notes, fmt.Sprintf("%d bytes a page, plain %d", r.bytes.Load()/n, r.plain))
					}
				}
				out = append(out, v)
			}
		}
	}
	return out
}

// A compressRunner pulls pages of one slot.
type compressRunner struct {
	e      *run.Env
	s      *load.Server
	slot   load.Slot
	coding string
	conns  int
	events int
	pages  int // how many different ones; 0: at any place
	plain  int // length of a page in bytes

	took, bytes atomic.Int64 // pages, and bytes of their bodies
}

// signedEvent is an event of size bytes, or some more. It has the parts of those that
// agents sign, so it compresses as those do: its id and signature not at all.
func signedEvent(r *rand.Rand, n, size int) []byte {
	noise := make([]byte, 96)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	b := fmt.Appendf(nil, `{"body":{"text":"`)
	tail := fmt.Sprintf(`"},"event_id":"%x","from":"did:wire:bench-0a1b2c3d","kind":1000,"public_key_id":"ed25519:bench:1","signature":"%s","timestamp":"2026-01-01T00:%02d:%02dZ","to":"did:wire:peer-4d3c2b1a","type":"message"}`,
		noise[:32], base64.StdEncoding.EncodeToString(noise[32:]), n/60%60, n%60)
	for len(b)+len(tail) < size {
		b = append(append(b, compressWords[r.IntN(len(compressWords))]...), ' ')
	}
	return append(b[:max(size-len(tail), len(`{"body":{"text":"`))], tail...)
}

var compressWords = strings.Fields("the agent will review this change and report what it found in a deployment of services when tests are done please look at error message from build because no file matches path so retry with another token after merge request is approved by owner")

// fill posts the events, all of one length.
func (r *compressRunner) fill(ctx context.Context, size int) error {
	slots, err := r.s.AllocateN(ctx, 1)
	if err != nil {
		return err
	}
	r.slot = slots[0]
	c, err := wire.Dial(ctx, r.s.Addr, wire.SmallBuffer)
	if err != nil {
		return err
	}
	defer c.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for n := 0; n < r.events; {
		var lines []byte
		for range 100 {
			lines = append(append(lines, signedEvent(random, n, size)...), '\n')
			n++
		}
		if err := c.Store(r.s.PostLines(r.slot, lines)); err != nil {
			return fmt.Errorf("cannot fill a slot: %w", err)
		}
	}
	page, err := c.Pulled(nil, r.request("identity", 0))
	r.plain = len(page)
	return err
}

// request is a pull from a position.
func (r *compressRunner) request(coding string, from int) []byte {
	head := fmt.Sprintf("GET /v1/events/%s?limit=%d&from=%07d HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept-Encoding: %s\r\n\r\n",
		r.slot.ID, compressPage, from, r.s.Addr, r.slot.Token, coding)
	return []byte(head)
}

func (r *compressRunner) Round(ctx context.Context) (load.Sample, error) {
	ws := make([]load.Worker, r.conns)
	for i := range ws {
		ws[i] = &compressPuller{Link: wire.Link{Addr: r.s.Addr, Buffer: wire.SmallBuffer}, r: r}
	}
	return r.e.RunClosed(ctx, r.s, ws)
}

// A compressPuller is one connection. Of its first page and one in a thousand it checks
// that they hold what they should, by the length of the array.
type compressPuller struct {
	wire.Link
	r   *compressRunner
	buf []byte
}

func (p *compressPuller) Do(ctx context.Context) error { return p.Try(ctx, p.once) }

func (p *compressPuller) once(c *wire.Conn) error {
	from := rand.IntN(p.r.events - compressPage)
	if p.r.pages > 0 {
		from = rand.IntN(p.r.pages) * (p.r.events/p.r.pages - 1)
	}
	h, err := c.Exchange(p.r.request(p.r.coding, from))
	if err != nil {
		return err
	}
	if h.Status != 200 {
		return c.StatusError(h, 200)
	}
	p.r.took.Add(1)
	p.r.bytes.Add(int64(h.Length))
	if !p.FullCheck() {
		return c.Skip(h.Length)
	}
	if p.buf, err = c.Body(p.buf, h.Length); err != nil {
		return err
	}
	page, err := unpacked(p.buf)
	if err == nil && (len(page) != p.r.plain || page[0] != '[' || page[len(page)-1] != ']') {
		err = fmt.Errorf("page of %d bytes, want %d", len(page), p.r.plain)
	}
	return err
}

// unpacked is a body without its coding, which its first byte tells.
func unpacked(body []byte) ([]byte, error) {
	switch {
	case len(body) == 0:
		return nil, errors.New("an empty body")
	case body[0] == 0x1f:
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	case body[0] == 0x28:
		z, err := zstd.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		return io.ReadAll(z)
	}
	return body, nil
}
