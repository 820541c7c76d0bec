package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// apiClient asks for what is not part of a load, such as statistics and
// metrics.
var apiClient = &http.Client{
	Timeout:   5 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true},
}

// Ask returns a small document of the server at addr.
func Ask(ctx context.Context, addr, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := apiClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", path, res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, 1<<20))
}

// Goroutines returns how many goroutines the relay has, as its metrics say.
func (s *Server) Goroutines(ctx context.Context) (int, error) { return s.Metric(ctx, "go_goroutines") }

// Metric returns a whole number of the relay's metrics. The name has the labels, if
// there are any, as the metrics have them.
func (s *Server) Metric(ctx context.Context, name string) (int, error) {
	b, err := Ask(ctx, s.Admin, "/metrics")
	if err != nil {
		return 0, fmt.Errorf("cannot read the relay's metrics: %w", err)
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			return strconv.Atoi(string(bytes.TrimSpace(v)))
		}
	}
	return 0, fmt.Errorf("the relay's metrics have no %s", name)
}
