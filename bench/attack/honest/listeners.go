package honest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cowrelay/bench/attack/client"
)

// streamClient has no time limit, because a stream has no end. The reader
// notices silence.
var streamClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: client.Dial, ResponseHeaderTimeout: client.Timeout}}

// streamSilence is longer than any silence that a relay promises.
const streamSilence = 30 * time.Second

// stream reads the first slot until ctx ends. A stream that ends is an error;
// another one is opened, which begins where the last one ended.
func (h *Load) stream(ctx context.Context, listener int) {
	last := ""
	for ctx.Err() == nil {
		err := h.oneStream(ctx, listener, &last)
		if ctx.Err() != nil {
			return
		}
		h.failed(h.Phase.Load(), OpStream, fmt.Errorf("a stream ended: %w", err))
		client.Pause(ctx, time.Second)
	}
}

// oneStream reads one stream to its end. last is the id of the newest event.
func (h *Load) oneStream(ctx context.Context, listener int, last *string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// With an unknown id the stream begins at the oldest event, so that it misses
	// nothing that was posted before it opened.
	url := h.relay.EventsURL(h.Slots[0]) + "/stream?since=the-oldest"
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+h.Slots[0].Token)
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	res, err := streamClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	silent := time.AfterFunc(streamSilence, func() { cancel(fmt.Errorf("silent for %v", streamSilence)) })
	defer silent.Stop()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, client.MostBody)
	for lines.Scan() {
		silent.Reset(streamSilence)
		id, ok := strings.CutPrefix(lines.Text(), "id: ")
		if !ok {
			continue
		}
		*last = id
		if took, phase, ok := h.waiting.seen(id, listener); ok {
			h.took(phase, OpStream, took)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return fmt.Errorf("end of the body")
}

// longPoll waits for news at the second slot, until ctx ends.
func (h *Load) longPoll(ctx context.Context, listener int) {
	const seconds = 5
	last := ""
	for ctx.Err() == nil {
		page, err := h.relay.Pull(ctx, client.Fresh, h.Slots[1], last, 1000, seconds)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			h.failed(h.Phase.Load(), OpLongPoll, err)
			client.Pause(ctx, time.Second)
			continue
		}
		for _, e := range page {
			last = client.IDOf(e)
			if took, phase, ok := h.waiting.seen(last, listener); ok {
				h.took(phase, OpLongPoll, took)
			}
		}
	}
}
