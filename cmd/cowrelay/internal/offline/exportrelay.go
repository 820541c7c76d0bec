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
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cow"
	"cowrelay/cow/event"

	"github.com/spf13/pflag"
)

// relaySource is a running relay, asked over its admin listener. It asks again
// where the connection breaks off or the relay is busy.
type relaySource struct {
	*adminclient.Client
	ahead aheadSlots
}

// Tries of one request without an event of progress between them: of a relay
// that does not answer, and of one that answers that it can't. The pause before
// the n-th is n times exportPause.
const (
	exportTries     = 12 // some 20 s
	exportTriesBusy = 4
	exportPause     = 300 * time.Millisecond
)

func newRelaySource(f *pflag.FlagSet) (source, error) {
	c, err := adminclient.New(f)
	if err != nil {
		return nil, err
	}
	// A reply may be long, but it begins at once.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.ResponseHeaderTimeout = 30 * time.Second
	c.HTTP.Transport, c.HTTP.Timeout = transport, 0
	return &relaySource{Client: c}, nil
}

func (r *relaySource) Close() error {
	r.HTTP.CloseIdleConnections()
	return nil
}

// lines gives the lines of a reply, which are good until yield returns.
func (r *relaySource) lines(ctx context.Context, path string, yield func([]byte) error) error {
	res, err := r.Open(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
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

// yieldError is the error of who takes the lines: nothing to try again for.
type yieldError struct{ error }

func (e *yieldError) Unwrap() error { return e.error }

// refusal returns the status that the relay refused with, or 0.
func refusal(err error) int {
	var no *adminclient.Refusal
	if errors.As(err, &no) {
		return no.Status
	}
	return 0
}

// again runs ask until it succeeds, fails for good, or fails too often without
// progress.
func (r *relaySource) again(ctx context.Context, progress *uint64, ask func() error) error {
	for try, was := 1, *progress; ; try++ {
		err := ask()
		status := refusal(err)
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
		err = r.lines(ctx, "/admin/v1/counts", func(line []byte) error {
			var v slotCount
			s, err := v.slot(json.Unmarshal(line, &v))
			list = append(list, s)
			return err
		})
	}
	for _, id := range wanted {
		var v slotCount
		switch err = r.Call(ctx, "GET", "/admin/v1/slots/"+id.String(), nil, &v); {
		case refusal(err) == http.StatusNotFound:
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

func byID(a, b exportSlot) int { return bytes.Compare(a.id[:], b.id[:]) }

// slotCount is what the relay says of a slot.
type slotCount struct {
	ID     string  `json:"slot_id"`
	Events *uint64 `json:"events"`
}

func (v *slotCount) slot(err error) (exportSlot, error) {
	id, ok := cow.ParseID(v.ID)
	if err != nil || !ok || v.Events == nil {
		return exportSlot{}, errors.New("the reply is not that of a relay's admin listener")
	}
	return exportSlot{id, *v.Events}, nil
}

func (r *relaySource) events(ctx context.Context, s exportSlot, yield func([]byte) error) error {
	if lines := r.lookAhead(ctx, s); lines != nil {
		for line := range bytes.Lines(lines) {
			if err := yield(line[:len(line)-1]); err != nil {
				return err
			}
		}
		return nil
	}
	pos := uint64(0)
	err := r.again(ctx, &pos, func() error {
		path := fmt.Sprintf("/admin/v1/slots/%s/events?from=%d&to=%d", s.id, pos, s.count)
		err := r.lines(ctx, path, func(line []byte) error {
			if pos++; pos > s.count {
				return errors.New("the relay gave more events than there were")
			}
			return yield(line)
		})
		if err == nil && pos < s.count {
			err = fmt.Errorf("%s gave %d events of %d", r.URL, pos, s.count)
		}
		return err
	})
	switch refusal(err) {
	case http.StatusNotFound:
		return errRemoved
	case http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %w", errSlot, err)
	}
	return err
}
