package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"cowrelay/cow"
)

// relaySource is a running relay, asked over its admin listener. It asks again
// where the connection breaks off or the relay is busy.
type relaySource struct {
	url    string
	token  string
	client http.Client
}

// Tries of one request without a byte of progress between them; the pause
// before the n-th is n times exportPause.
const (
	exportTries = 5
	exportPause = 300 * time.Millisecond
)

func newRelaySource(admin, tokenFile string) (source, error) {
	if !strings.Contains(admin, "://") {
		admin = "http://" + admin
	}
	u, err := url.Parse(admin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError{fmt.Errorf("--admin %q is no URL such as http://127.0.0.1:9770", admin)}
	}
	token, err := readAdminToken(tokenFile)
	if err != nil {
		return nil, fmt.Errorf("--admin-token-file: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.ResponseHeaderTimeout = 30 * time.Second
	return &relaySource{url: strings.TrimRight(admin, "/"), token: token, client: http.Client{Transport: transport}}, nil
}

func (r *relaySource) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

// statusError is a reply other than 200.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// ask sends a GET; the caller closes the body of what succeeds.
func (r *relaySource) ask(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+path, nil)
	if err != nil {
		return nil, err
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	var reply struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &reply) != nil {
		reply.Error = strings.TrimSpace(string(text))
	}
	return nil, &statusError{res.StatusCode, fmt.Sprintf("%s says %s: %s", r.url, res.Status, reply.Error)}
}

// lines gives the lines of a reply, which are good until yield returns.
func (r *relaySource) lines(ctx context.Context, path string, yield func([]byte) error) error {
	body, err := r.ask(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	b := bufio.NewReaderSize(body, cow.MaxEventBytes+1)
	for {
		line, err := b.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s broke off: %w", r.url, err)
		}
		if err := yield(line[:len(line)-1]); err != nil {
			return &yieldError{err}
		}
	}
}

// yieldError is the error of who takes the lines: nothing to try again for.
type yieldError struct{ error }

func (e *yieldError) Unwrap() error { return e.error }

// again runs ask until it succeeds, fails for good, or fails too often without
// progress.
func (r *relaySource) again(ctx context.Context, progress func() uint64, ask func() error) error {
	for try, was := 1, progress(); ; try++ {
		err := ask()
		if status := new(statusError); err == nil || errors.As(err, new(*yieldError)) ||
			errors.As(err, &status) && status.status != http.StatusServiceUnavailable {
			return err
		}
		if now := progress(); now != was {
			try, was = 1, now
		}
		if try == exportTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * exportPause):
		}
	}
}

func none() uint64 { return 0 }

func (r *relaySource) slots(ctx context.Context, wanted []cow.ID) (list []exportSlot, err error) {
	if len(wanted) == 0 {
		err = r.again(ctx, none, func() error {
			list = list[:0]
			return r.lines(ctx, "/admin/v1/counts", func(line []byte) error {
				s, err := parseCount(line)
				list = append(list, s)
				return err
			})
		})
		slices.SortFunc(list, byID)
		return list, err
	}
	for _, id := range wanted {
		err := r.again(ctx, none, func() error {
			body, err := r.ask(ctx, "/admin/v1/slots/"+id.String())
			if err != nil {
				return err
			}
			defer body.Close()
			reply, err := io.ReadAll(io.LimitReader(body, 1<<20))
			if err != nil {
				return err
			}
			s, err := parseCount(reply)
			list = append(list, s)
			return err
		})
		if status := new(statusError); errors.As(err, &status) && status.status == http.StatusNotFound {
			continue // missing says so
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, byID)
	list = slices.Compact(list)
	return list, missing(list, wanted)
}

func byID(a, b exportSlot) int {
	return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.count, b.count))
}

// parseCount reads what the relay says of a slot.
func parseCount(line []byte) (exportSlot, error) {
	var v struct {
		ID     string  `json:"slot_id"`
		Events *uint64 `json:"events"`
	}
	err := json.Unmarshal(line, &v)
	id, ok := cow.ParseID(v.ID)
	if err != nil || !ok || v.Events == nil {
		return exportSlot{}, errors.New("the reply is not that of a relay's admin listener")
	}
	return exportSlot{id, *v.Events}, nil
}

func (r *relaySource) events(ctx context.Context, s exportSlot, yield func([]byte) error) error {
	pos := uint64(0)
	err := r.again(ctx, func() uint64 { return pos }, func() error {
		path := fmt.Sprintf("/admin/v1/slots/%s/events?from=%d&to=%d", s.id, pos, s.count)
		err := r.lines(ctx, path, func(line []byte) error {
			if pos++; pos > s.count {
				return errors.New("the relay gave more events than there were")
			}
			return yield(line)
		})
		if err == nil && pos < s.count {
			err = fmt.Errorf("%s gave %d events of %d", r.url, pos, s.count)
		}
		return err
	})
	var status *statusError
	switch {
	case !errors.As(err, &status):
		return err
	case status.status == http.StatusNotFound:
		return errRemoved
	case status.status == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %w", errSlot, err)
	}
	return err
}
