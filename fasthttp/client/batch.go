package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// The most that a relay takes in one batch.
const (
	BatchEvents = 1000    // events
	BatchBytes  = 524_288 // of events, without white space between tokens
)

const linesType = "application/x-ndjson"

// Batch is the result of posting many events at once.
type Batch struct {
	Stored     int    `json:"stored"`
	Duplicates int    `json:"duplicates"` // they were in the slot already, or twice in the batch
	Next       uint64 `json:"next"`       // the position behind the last event that was stored

	// Repeated: an earlier try of this call got no answer. Duplicates may be what
	// that try stored.
	Repeated bool `json:"-"`
}

// PostBatch stores events, JSON objects, side by side and in their order: all, or
// none if there is an error. It returns when they are on the relay's disk. They are
// at most BatchEvents and BatchBytes.
//
// If the answer is lost, PostBatch tries again only if each event has an event_id. An
// [Appender] goes on without ids too. At a relay that takes no batches the error is
// ErrNotOffered, and nothing was stored.
func (s *Slot) PostBatch(ctx context.Context, events []json.RawMessage) (Batch, error) {
	repeat := true
	var lines []byte
	for _, e := range events {
		if !json.Valid(e) { // or it could be more than one
			return Batch{}, ErrNotJSON
		}
		repeat = repeat && EventID(e) != ""
		lines = AppendLine(lines, e)
	}
	return s.postLines(ctx, lines, repeat)
}

// PostLines is PostBatch for events that are lines of text already, one a line. It
// does not look at them, so it does not know which have ids: if the answer is lost it
// does not try again, unless Options.RepeatWithoutID is set.
//
// If the relay refuses a line, [FaultyLine] tells which. Nothing of the batch was
// stored then.
func (s *Slot) PostLines(ctx context.Context, lines []byte) (Batch, error) {
	return s.postLines(ctx, lines, false)
}

func (s *Slot) postLines(ctx context.Context, lines []byte, repeat bool) (Batch, error) {
	r, err := s.client.do(ctx, call{
		method: http.MethodPost, path: s.eventsPath(), token: s.Token, body: lines, kind: linesType,
		repeat: repeat || s.client.opts.RepeatWithoutID,
	})
	b := Batch{Repeated: r.lost}
	if err != nil {
		return b, s.noBatches(err)
	}
	var got struct {
		Stored *int `json:"stored"`
		*Batch
	}
	got.Batch = &b
	if err := r.decode(&got); err != nil {
		return Batch{}, err
	}
	if got.Stored == nil {
		return Batch{}, r.foreign(errors.New("nothing about a batch in it"))
	}
	b.Stored = *got.Stored
	return b, nil
}

// noBatches adds ErrNotOffered to the refusal of a relay that takes no batches. Such
// a relay wants one event in JSON, and its refusal names no line.
func (s *Slot) noBatches(err error) error {
	var no *Error
	if errors.As(err, &no) && errors.Is(err, ErrBadRequest) && FaultyLine(err) == 0 {
		return fmt.Errorf("%w: %s takes no batches: %w", ErrNotOffered, s.client.base, err)
	}
	return err
}

// FaultyLine returns the line of a batch that the relay refused, counted from 1. 0:
// the error is not about a line.
func FaultyLine(err error) int {
	var no *Error
	var line int
	if !errors.As(err, &no) || json.Unmarshal(no.Fields["line"], &line) != nil {
		return 0
	}
	return max(line, 0)
}

// AppendLine appends an event, which is JSON, as one line with its end.
func AppendLine(to, event []byte) []byte {
	begin := len(to)
	to = append(to, bytes.TrimSpace(event)...)
	for i := begin; i < len(to); i++ {
		if to[i] == '\n' || to[i] == '\r' { // white space between tokens: a string can't hold it
			to[i] = ' '
		}
	}
	return append(to, '\n')
}
