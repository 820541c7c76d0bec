package tiny

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
)

// postLines stores a post of several events, one a line.
func (r *relay) postLines(w http.ResponseWriter, q *http.Request, body []byte) {
	var events []record
	for line := range bytes.Lines(body) {
		var event struct {
			ID string `json:"event_id"`
		}
		line = bytes.TrimSpace(line)
		if json.Unmarshal(line, &event) != nil {
			Answer(w, 400, fmt.Appendf(nil, `{"error":"bad","line":%d}`, len(events)+1))
			return
		}
		events = append(events, record{Slot: q.PathValue("slot"), ID: event.ID, Event: line})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slotLocked(w, q)
	if s == nil {
		return
	}
	r.posts++
	switch {
	case r.fault == "batch":
		events = events[1:]
	case r.fault == "batch-order":
		slices.Reverse(events)
	}
	for _, e := range events {
		s.add(e.ID, e.Event)
		r.recordLocked(e)
	}
	Answer(w, 201, fmt.Appendf(nil, `{"stored":%d,"duplicates":0,"next":%d}`, len(events), len(s.events)))
}

// linesOfPost is how many lines Post sends in a request.
const linesOfPost = 50

// Post posts the lines of a file, in their order, as `cowrelay post --file` does.
func Post(args []string) error {
	fs := flag.NewFlagSet("post", flag.ContinueOnError)
	name := fs.String("file", "", "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	b, err := os.ReadFile(*name)
	if err != nil {
		return err
	}
	lines := slices.Collect(bytes.Lines(b))
	for part := range slices.Chunk(lines, linesOfPost) {
		if err := postPart(bytes.Join(part, nil)); err != nil {
			return err
		}
	}
	return nil
}

func postPart(body []byte) error {
	url := os.Getenv("COWRELAY_RELAY") + "/v1/events/" + os.Getenv("COWRELAY_SLOT")
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+os.Getenv("COWRELAY_TOKEN"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusCreated {
		err = errors.New(res.Status + ": " + string(answer))
	}
	return err
}
