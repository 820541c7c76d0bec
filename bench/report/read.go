package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// maxResultLine is the longest line of a file of results, in bytes. Real lines
// are far shorter: they hold rounds and not each latency.
const maxResultLine = 16 << 20

// ReadResults reads what WriteJSON wrote, one result a line.
func ReadResults(r io.Reader) ([]Result, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxResultLine)
	var out []Result
	for n := 1; sc.Scan(); n++ {
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 {
			continue
		}
		var res Result
		if err := json.Unmarshal(line, &res); err != nil {
			return nil, fmt.Errorf("line %d is no result: %w", n, err)
		}
		if res.Scenario == "" {
			return nil, fmt.Errorf("line %d is no result: it names no scenario", n)
		}
		out = append(out, res)
	}
	return out, sc.Err()
}

// WriteJSON writes r as one line.
func (r *Result) WriteJSON(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
