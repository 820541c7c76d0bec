package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cow/engine"
	"cowrelay/fasthttp/admin"
)

// joining is what --join and --join-token-file say.
type joining struct {
	url   string // of another relay's operators' listener; "": don't join
	token string // file with its admin token; "": the environment may have one
}

// check says what is wrong with the flags.
func (j *joining) check(c *config.Config) error {
	switch {
	case j.url == "" && j.token != "":
		return errors.New("--join-token-file: it is for --join")
	case j.url == "":
		return nil
	case !c.Shared():
		return fmt.Errorf("--join: it is for --journal %s: relays that share no log can't share a store", config.JetStream)
	}
	if !strings.Contains(j.url, "://") {
		j.url = "http://" + j.url
	}
	u, err := url.Parse(j.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return errors.New("--join: it is the URL of another relay's --admin listener, such as http://10.0.0.5:9770")
	}
	j.url = strings.TrimRight(j.url, "/")
	if _, err := config.ReadAdminToken(j.token); err != nil {
		return fmt.Errorf("--join-token-file: %w", err)
	}
	return nil
}

const (
	joinAnswer = 2 * time.Minute // that the other relay has to begin: it flushes its store first
	joinSilent = time.Minute     // that it may send nothing
	joinPause  = 5 * time.Second // between two tries
	joinTries  = 60              // in a row that bring nothing
)

// join copies the store of another relay into the data folder, if that is empty. A
// folder that has data stays as it is: a supervisor starts the relay again with the
// same flags.
func (s *server) join(ctx context.Context) error {
	if s.joins.url == "" {
		return nil
	}
	empty, err := engine.Empty(s.DataDir)
	if err != nil {
		return err
	}
	if !empty {
		s.log.Info("the data folder is not empty: nothing is copied from another relay", "data_dir", s.DataDir)
		return nil
	}
	token, err := config.ReadAdminToken(s.joins.token)
	if err != nil {
		return fmt.Errorf("--join-token-file: %w", err)
	}
	for try := 1; ; try++ {
		began := time.Now()
		m, err := s.copyStore(ctx, token)
		if err == nil {
			s.log.Info("the store of another relay was copied and verified", "from", s.joins.url, "applied", m.Applied, "slots", m.Slots, "files", len(m.Files), "took", time.Since(began).Round(time.Millisecond).String())
			return nil
		}
		var again *retryable
		if !errors.As(err, &again) || try == joinTries || ctx.Err() != nil {
			return fmt.Errorf("--join %s: %w", s.joins.url, err)
		}
		s.log.Warn("the store of another relay could not be copied: the next try comes soon", "from", s.joins.url, "error", err, "try", try)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(joinPause):
		}
	}
}

// retryable is an error that another try may heal.
type retryable struct{ error }

func (r *retryable) Unwrap() error { return r.error }

// copyStore asks for a copy and makes the data folder of it.
func (s *server) copyStore(ctx context.Context, token string) (engine.Manifest, error) {
	s.say("joining: asking " + s.joins.url + " for a copy of its store")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.joins.url+"/admin/v1/checkpoint", nil)
	if err != nil {
		return engine.Manifest{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableCompression: true, ResponseHeaderTimeout: joinAnswer}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req) // which follows no redirect: the token is for this address alone
	if err != nil {
		return engine.Manifest{}, &retryable{err}
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return engine.Manifest{}, &retryable{fmt.Errorf("the relay there can't give a copy now (%s): %s", res.Status, said(res.Body))}
	case http.StatusUnauthorized, http.StatusForbidden:
		return engine.Manifest{}, fmt.Errorf("the relay there asks for its admin token: give it with --join-token-file (%s)", res.Status)
	default:
		return engine.Manifest{}, fmt.Errorf("what answers there is not the operators' listener of a relay that gives copies (%s): %s", res.Status, said(res.Body))
	}
	total, err := strconv.ParseInt(res.Header.Get(admin.CheckpointBytes), 10, 64)
	if err != nil || total < 0 {
		total = -1 // an older relay does not say it
	}
	silent := time.AfterFunc(joinSilent, func() { cancel(fmt.Errorf("nothing came for %v", joinSilent)) })
	defer silent.Stop()
	step, verifies := s.copying(total, "copied"), false
	defer func() { step.end() }()
	body := &source{Reader: res.Body}
	m, err := engine.Restore(ctx, s.DataDir, body, engine.RestoreOptions{
		Log: s.sharedLog.ID(), Reserve: uint64(s.DiskReserve), Journal: engine.Options{CacheBytes: s.memory.Cache, OpenFiles: s.files.Store, Logger: s.log},
		Received: func(n int64) { silent.Reset(joinSilent); step.at(n) },
		Verified: func(n int64) {
			silent.Reset(joinSilent)
			if !verifies {
				verifies = true
				step.end()
				step = s.copying(-1, "verified")
			}
			step.at(n)
		},
	})
	if err != nil && body.failed {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		err = &retryable{err}
	}
	return m, err
}

// source notes whether it was the network that failed.
type source struct {
	io.Reader
	failed bool
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.failed = true
	}
	return n, err
}

// said is the beginning of what a reply says, for a line of the log.
func said(body io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(body, 300))
	return strings.TrimSpace(string(text))
}
