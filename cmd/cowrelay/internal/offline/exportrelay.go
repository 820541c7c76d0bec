package offline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cow"
	"cowrelay/cow/event"

	"github.com/spf13/pflag"
)

// relaySource is a running relay, asked over its admin listener. It asks again if
// the connection breaks off or the relay is busy, from the position that it had
// got to.
type relaySource struct {
	*adminclient.Client
	ahead aheadSlots
}

// How often one request is tried without an event of progress between the tries.
// The pause after the n-th is n times exportPause.
const (
	exportTries     = 12 // of a relay that does not answer: for some 20 s
	exportTriesBusy = 4  // of one that answers that it can't
	exportPause     = 300 * time.Millisecond
)

// newRelaySource returns the relay that flags and environment name.
func newRelaySource(f *pflag.FlagSet) (source, error) {
	c, err := adminclient.New(f)
	if err != nil {
		return nil, err
	}
	c.LongReplies()
	return &relaySource{Client: c}, nil
}

// Lost implements source: a relay that serves lacks nothing.
func (*relaySource) Lost() error { return nil }

func (r *relaySource) Close() error {
	r.Client.Close()
	return nil
}

// lines yields the lines of a reply. Each is good until yield returns. Before the first one
// it tells of the header that names its position.
func (r *relaySource) lines(ctx context.Context, path string, begins func(first string), yield func([]byte) error) error {
	res, err := r.Open(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	begins(res.Header.Get("Relay-First"))
	b := bufio.NewReaderSize(res.Body, event.MaxBytes+1)
	for {
		line, err := b.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s broke off: %w", r.URL, err)
		}
		if err := yield(line[:len(line)-1]); err != nil {
			return &yieldError{err}
		}
	}
}

// yieldError is an error of the code that takes the lines. To ask the relay again
// would not help.
type yieldError struct{ error }

func (e *yieldError) Unwrap() error { return e.error }

// again runs ask until it succeeds, fails for good, or fails too often without
// progress.
func (r *relaySource) again(ctx context.Context, progress *uint64, ask func() error) error {
	for try, was := 1, *progress; ; try++ {
		err := ask()
		status := adminclient.Status(err)
		if err == nil || errors.As(err, new(*yieldError)) || status != 0 && status != http.StatusServiceUnavailable {
			return err
		}
		if *progress != was {
			try, was = 1, *progress
		}
		if try == exportTries || status != 0 && try == exportTriesBusy {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * exportPause):
		}
	}
}

func (r *relaySource) slots(ctx context.Context, wanted []cow.ID) (list []exportSlot, err error) {
	if len(wanted) == 0 {
		err = r.lines(ctx, "/admin/v1/counts", func(string) {}, func(line []byte) error {
			var v slotCount
			s, err := v.slot(json.Unmarshal(line, &v))
			list = append(list, s)
			return err
		})
	}
	for _, id := range wanted {
		var v slotCount
		switch err = r.Call(ctx, "GET", "/admin/v1/slots/"+id.String(), nil, &v); {
		case adminclient.Status(err) == http.StatusNotFound:
			continue // missing says so
		case err != nil:
			return nil, err
		}
		s, err := v.slot(nil)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	if len(wanted) == 0 && err != nil {
		return nil, err
	}
	slices.SortFunc(list, byID)
	list = slices.CompactFunc(list, func(a, b exportSlot) bool { return a.id == b.id })
	r.ahead.list = list
	return list, missing(list, wanted)
}

func (r *relaySource) events(ctx context.Context, s exportSlot, yield func(uint64, []byte) error) error {
	open := func(path string) (io.ReadCloser, error) {
		res, err := r.Open(ctx, "GET", path, nil)
		if err != nil {
			return nil, err
		}
		return res.Body, nil
	}
	if lines := r.ahead.lines(s, open); lines != nil {
		pos := s.first
		for line := range bytes.Lines(lines) {
			if err := yield(pos, line[:len(line)-1]); err != nil {
				return err
			}
			pos++
		}
		return nil
	}
	pos := s.first
	err := r.again(ctx, &pos, func() error {
		path := fmt.Sprintf("/admin/v1/slots/%s/events?from=%d&to=%d", s.id, pos, s.end())
		err := r.lines(ctx, path, func(first string) {
			if n, err := strconv.ParseUint(first, 10, 63); err == nil { // what stood before has left
				pos = max(pos, min(n, s.end()))
			}
		}, func(line []byte) error {
			if pos == s.end() {
				return errors.New("the relay gave more events than there were")
			}
			pos++
			return yield(pos-1, line)
		})
		if err == nil && pos < s.end() {
			err = fmt.Errorf("%s gave %d events of %d", r.URL, pos-s.first, s.count)
		}
		return err
	})
	switch adminclient.Status(err) {
	case http.StatusNotFound:
		return errRemoved
	case http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %w", errSlot, err)
	}
	return err
}
