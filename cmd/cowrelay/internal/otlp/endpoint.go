package otlp

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// tracesPath stands behind the endpoint's path, as the protocol has it.
const tracesPath = "/v1/traces"

// ParseEndpoint reads the URL of a collector, without the path of traces, or nothing.
// What authenticates does not belong into it: a command line can be read by others.
func ParseEndpoint(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("it is the URL of a collector, such as http://127.0.0.1:4318")
	case u.User != nil:
		return "", errors.New("a user or password does not belong here: OTEL_EXPORTER_OTLP_HEADERS holds what authenticates")
	case strings.HasSuffix(u.Path, tracesPath):
		return "", errors.New("leave " + tracesPath + " out: it is put behind the URL")
	}
	return text, nil
}

// ParseRatio reads which part of the requests is traced.
func ParseRatio(text string) (float64, error) {
	ratio, err := strconv.ParseFloat(text, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		return 0, errors.New("it is a part of all, from 0 to 1, such as 0.01")
	}
	return ratio, nil
}
