package fasthttp

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// What pages of other origins may do once their browser has asked: everything
// that the relay's routes take.
const (
	corsMethods = "GET, HEAD, POST, DELETE"
	corsHeaders = "Authorization, Content-Type, Last-Event-ID"
	corsExposes = "Retry-After"
	corsMaxAge  = "7200" // seconds that a browser may remember it, the most that Chromium does
)

// ParseOrigins reads a list of origins, with commas between them, or "*". An
// origin is compared as browsers send it, so it must be written like that.
func ParseOrigins(list string) ([]string, error) {
	out := splitList(list)
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

// origin is what a page of the request's origin is told, or nothing if it may
// not read the reply. h is nil where the header is not known.
func (l *Live) origin(h *fasthttp.RequestHeader) string {
	if l.anyOrigin() {
		return "*"
	}
	if h == nil {
		return ""
	}
	// The configured text goes out, never the client's.
	if i := slices.Index(l.CORSOrigins, string(h.Peek(fasthttp.HeaderOrigin))); i >= 0 {
		return l.CORSOrigins[i]
	}
	return ""
}

func (l *Live) anyOrigin() bool { return len(l.CORSOrigins) == 1 && l.CORSOrigins[0] == "*" }

// share lets a page of an allowed origin read the reply, whatever it will be.
func (l *Live) share(h *fasthttp.RequestHeader, res *fasthttp.Response) {
	if len(l.CORSOrigins) == 0 {
		return
	}
	if !l.anyOrigin() { // whoever keeps the reply must not give it to other origins
		res.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	}
	if origin := l.origin(h); origin != "" {
		res.Header.Set(fasthttp.HeaderAccessControlAllowOrigin, origin)
		res.Header.Set(fasthttp.HeaderAccessControlExposeHeaders, corsExposes)
	}
}

// shareStream is share for the head of a stream, which it returns with what it adds.
func (l *Live) shareStream(h *fasthttp.RequestHeader, head []byte) []byte {
	if len(l.CORSOrigins) == 0 {
		return head
	}
	lines := ""
	if !l.anyOrigin() {
		lines += "Vary: Origin\r\n"
	}
	if origin := l.origin(h); origin != "" {
		lines += "Access-Control-Allow-Origin: " + origin + "\r\nAccess-Control-Expose-Headers: " + corsExposes + "\r\n"
	}
	end := bytes.Index(head, []byte("\r\n\r\n")) + len("\r\n")
	return slices.Concat(head[:end], []byte(lines), head[end:])
}

// preflight says whether a browser asks what a page of an allowed origin may
// do. It asks by the path of the request to come, which may well be one that
// isn't there: the page is to see that from the reply to the request.
func (l *Live) preflight(h *fasthttp.RequestHeader) bool {
	return len(l.CORSOrigins) > 0 && h.IsOptions() && len(h.Peek(fasthttp.HeaderOrigin)) > 0 &&
		len(h.Peek(fasthttp.HeaderAccessControlRequestMethod)) > 0 && l.origin(h) != ""
}

func (r *Relay) servePreflight(req request) error {
	res := &req.ctx.Response
	res.SetStatusCode(fasthttp.StatusNoContent)
	if r.live.Load().anyOrigin() {
		res.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	}
	res.Header.Set(fasthttp.HeaderAccessControlAllowMethods, corsMethods)
	res.Header.Set(fasthttp.HeaderAccessControlAllowHeaders, corsHeaders)
	res.Header.Set(fasthttp.HeaderAccessControlMaxAge, corsMaxAge)
	return nil
}
