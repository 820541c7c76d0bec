package books

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"cowrelay/bench/attack/client"
)

// get reads a document of the admin listener.
func get(ctx context.Context, admin, token, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+path, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Fresh.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %.200s", path, res.StatusCode, b)
	}
	return b, err
}

// Values are the metrics of a relay, by series with its labels.
type Values map[string]float64

// Metrics reads the metrics of a relay.
func Metrics(ctx context.Context, admin, token string) (Values, error) {
	b, err := get(ctx, admin, token, "/metrics")
	if err != nil {
		return nil, fmt.Errorf("cannot read the relay's metrics: %w", err)
	}
	v := Values{}
	for line := range strings.Lines(string(b)) {
		var n float64
		name, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if _, err := fmt.Sscan(rest, &n); err == nil {
			v[name] = n
		}
	}
	return v, nil
}

// Sum adds up a family over all its series.
func (v Values) Sum(family string) (n float64) {
	for name, x := range v {
		if name == family || strings.HasPrefix(name, family+"{") {
			n += x
		}
	}
	return n
}
