package call

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Frame is an event as a stream brought it.
type Frame struct {
	ID   string // "": it has none
	Data string
	At   time.Duration // when it had come
}

// A Cursor says where a stream begins.
type Cursor struct {
	Positions bool   // its ids are positions
	Last      string // Last-Event-ID; "": from the oldest
}

// Stream reads a stream until it ends or ctx does, and gives each whole frame to
// got. A nil error says that the relay ended it.
func (c *Client) Stream(ctx context.Context, relay int, s Slot, from Cursor, got func(Frame)) error {
	q := url.Values{}
	if from.Positions {
		q.Set("ids", "position")
	}
	req, err := http.NewRequestWithContext(ctx, "GET", c.Relays[relay]+"/v1/events/"+s.ID+"/stream?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("Last-Event-ID", from.Last) // empty: from the oldest
	stream := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := stream.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		return &StatusError{res.StatusCode}
	}
	r := bufio.NewReader(res.Body)
	var f Frame
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			// What came of a frame whose end is missing does not count.
			return err
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			if f.Data != "" {
				f.At = c.Rec.Now()
				got(f)
			}
			f = Frame{}
		case strings.HasPrefix(line, "id: "):
			f.ID = line[len("id: "):]
		case strings.HasPrefix(line, "data: "):
			if f.Data != "" {
				return errors.New("a frame with two lines of data")
			}
			f.Data = line[len("data: "):]
		}
	}
}

// A StatusError is an answer that is not a stream.
type StatusError struct{ Status int }

func (e *StatusError) Error() string { return fmt.Sprintf("status %d", e.Status) }
