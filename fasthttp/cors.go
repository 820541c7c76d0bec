package fasthttp

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"cowrelay/fasthttp/limit"

	"github.com/valyala/fasthttp"
)

// What a page of an allowed origin may do: everything that the relay's routes take.
const (
	corsMethods = "GET, HEAD, POST, DELETE"
	corsHeaders = "Authorization, Content-Type, Last-Event-ID, X-Request-Id"
	corsExposes = "Retry-After, Relay-Next, Relay-End, Relay-Trimmed, Relay-Stale, X-Request-Id"
	corsMaxAge  = "7200" // seconds that a browser may remember it, the most that Chromium does
)

// ParseOrigins reads a list of origins, with commas between them, or "*". They are
// compared with what browsers send, so they must be written as browsers do.
func ParseOrigins(list string) ([]string, error) {
	out := limit.SplitList(list)
	for _, origin := range out {
		if origin == "*" {
			if len(out) > 1 {
				return nil, errors.New("* is every origin: leave the others out")
			}
			return out, nil
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != origin {
			return nil, fmt.Errorf("%q is no origin: write scheme://host or scheme://host:port, without anything behind it, or * for all", origin)
		}
		if origin != strings.ToLower(origin) {
			return nil, fmt.Errorf("%q: browsers write an origin in small letters", origin)
		}
		if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
			return nil, fmt.Errorf("%q: browsers leave the scheme's own port out", origin)
		}
	}
	return out, nil
}

// origins are the sites whose pages may read replies, or "*" alone.
type origins []string

// allowed returns the origin that the reply names as allowed, or nothing if the
// request's page may not read it. h is nil where the header is not known.
func (o origins) allowed(h *fasthttp.RequestHeader) string {
	if o.any() {
		return "*"
	}
	if h == nil {
		return ""
	}
	// The configured text goes out, never the client's.
	if i := slices.Index(o, string(h.Peek(fasthttp.HeaderOrigin))); i >= 0 {
		return o[i]
	}
	return ""
}

func (o origins) any() bool { return len(o) == 1 && o[0] == "*" }

// share lets a page of an allowed origin read the reply, whatever it will be.
func (o origins) share(h *fasthttp.RequestHeader, res *fasthttp.Response) {
	if len(o) == 0 {
		return
	}
	if !o.any() { // a cache must not give the reply to other origins
		res.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	}
	if origin := o.allowed(h); origin != "" {
		res.Header.Set(fasthttp.HeaderAccessControlAllowOrigin, origin)
		res.Header.Set(fasthttp.HeaderAccessControlExposeHeaders, corsExposes)
	}
}

// shareStream is share for the head of a stream. It returns the head with more
// fields.
func (o origins) shareStream(h *fasthttp.RequestHeader, head []byte) []byte {
	if len(o) == 0 {
		return head
	}
	lines := ""
	if !o.any() {
		lines += "Vary: Origin\r\n"
	}
	if origin := o.allowed(h); origin != "" {
		lines += "Access-Control-Allow-Origin: " + origin + "\r\nAccess-Control-Expose-Headers: " + corsExposes + "\r\n"
	}
	return withLines(head, lines)
}

// withLines returns the head of a reply with more fields. Each ends its line.
func withLines(head []byte, lines string) []byte {
	end := bytes.Index(head, []byte("\r\n\r\n")) + len("\r\n")
	return slices.Concat(head[:end], []byte(lines), head[end:])
}

// preflight says whether a browser asks what a page of an allowed origin may do. The
// path is that of the request to come. It may be one that does not exist: the page
// is to see that from the reply to the request itself.
func (o origins) preflight(h *fasthttp.RequestHeader) bool {
	return len(o) > 0 && h.IsOptions() && len(h.Peek(fasthttp.HeaderOrigin)) > 0 &&
		len(h.Peek(fasthttp.HeaderAccessControlRequestMethod)) > 0 && o.allowed(h) != ""
}
