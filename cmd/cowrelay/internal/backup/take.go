package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cow/engine"
	"cowrelay/fasthttp/admin"

	"github.com/schollz/progressbar/v3"
)

const (
	beginTime  = 2 * time.Minute // that the relay has to begin: it flushes its store first
	silentTime = 5 * time.Minute // that it may send nothing: at the least rate it reads a table without a word
	tellTime   = 10 * time.Second
	// mostHad is how many tables the relay is told of: its body is bounded.
	mostHad = 50_000
)

// take makes a backup of a running relay, and tells it what became of it.
func (b *backup) take(c *adminclient.Client, folder, name string) (engine.Manifest, error) {
	if len(b.had) > mostHad {
		b.had = b.had[:mostHad]
	}
	m, came, err := b.receive(c, folder)
	b.count(m)
	if err == nil {
		err = b.into.finish(folder, name)
	}
	if !came {
		return m, err // the relay knows
	}
	told := map[string]any{"bytes": m.Bytes(), "sent_bytes": b.sent, "seconds": time.Since(b.began).Seconds()}
	if err != nil {
		text := err.Error()
		told = map[string]any{"failed": text[:min(len(text), 1000)]}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.cmd.Context()), tellTime)
	defer cancel()
	if no := c.Call(ctx, http.MethodPost, "/admin/v1/backups", told, nil); no != nil && err == nil {
		fmt.Fprintf(b.stderr, "cowrelay backup: the backup is whole, but the relay could not be told, so its metrics don't show it: %v\n", no)
	}
	return m, err
}

// receive asks for a copy and writes it into the folder. came says that the relay has
// sent all of it.
func (b *backup) receive(c *adminclient.Client, folder string) (m engine.Manifest, came bool, err error) {
	ctx, cancel := context.WithCancelCause(b.cmd.Context())
	defer cancel(nil)
	asked := struct {
		Have []engine.File `json:"have"`
		Rate int64         `json:"rate"`
	}{make([]engine.File, len(b.had)), b.pace}
	linked := int64(0)
	for i, h := range b.had {
		asked.Have[i] = h.File
		linked += h.Size
	}
	res, err := c.Open(ctx, http.MethodPost, "/admin/v1/checkpoint", asked)
	if err != nil {
		return m, false, err
	}
	defer res.Body.Close()
	total, err := strconv.ParseInt(res.Header.Get(admin.CheckpointBytes), 10, 64)
	if err != nil || total < 0 {
		return m, false, errors.New("the reply is no copy of a store: is it the admin listener of a relay?")
	}
	if err := room(folder, total-linked); err != nil {
		return m, false, err
	}
	silent := time.AfterFunc(silentTime, func() { cancel(fmt.Errorf("the relay sent nothing for %v", silentTime)) })
	defer silent.Stop()
	body := &source{Reader: res.Body}
	bar := term.NewBar(b.stderr, total, "backing up", "bytes")
	defer func() { term.EndBar(bar) }()
	m, err = engine.ReceiveBackup(ctx, folder, body, b.options(func(n int64) { silent.Reset(silentTime); bar.Set64(n) }, &bar))
	if err != nil && body.failed {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		err = fmt.Errorf("the copy from %s broke off: %w", c.URL, err)
	}
	return m, body.ended, err
}

// options are those of the receiving side.
func (b *backup) options(received func(int64), bar **progressbar.ProgressBar) engine.BackupOptions {
	verifying := false
	return engine.BackupOptions{
		Had: b.had, Received: received, Verify: b.verify, Journal: readerOptions(),
		Verified: func(n int64) {
			if !verifying {
				verifying = true
				term.EndBar(*bar)
				*bar = term.NewBar(b.stderr, -1, "verifying", "bytes")
			}
			(*bar).Set64(n)
		},
	}
}

// count counts what was sent.
func (b *backup) count(m engine.Manifest) {
	had := make(map[engine.File]bool, len(b.had))
	for _, h := range b.had {
		had[h.File] = true
	}
	for _, f := range m.Files {
		if !had[f] {
			b.sent += f.Size
		}
	}
}

// room refuses at once what can't find room.
func room(folder string, bytes int64) error {
	free, err := engine.FreeSpace(folder)
	if err == nil && bytes > 0 && free < uint64(bytes) {
		err = fmt.Errorf("there is no room: at least %d bytes are needed, %d are free: make room, or keep fewer backups", bytes, free)
	}
	return err
}

// readerOptions are for one pass over a store: there is little to cache. Damage comes
// as errors, and a log would only repeat them.
func readerOptions() engine.Options {
	return engine.Options{CacheBytes: 8 << 20, Logger: slog.New(slog.DiscardHandler)}
}

// source notes whether it was the relay that failed.
type source struct {
	io.Reader
	failed, ended bool
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	switch {
	case err == io.EOF:
		s.ended = true
	case err != nil:
		s.failed = true
	}
	return n, err
}
