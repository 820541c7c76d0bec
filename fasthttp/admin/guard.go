package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"

	"cowrelay/fasthttp/refusal"
)

var (
	errClosed = &refusal.Reply{Status: http.StatusForbidden, Text: "the admin listener is not on loopback and the relay has no admin token: give it --admin-token-file"}
	errHost   = &refusal.Reply{Status: http.StatusForbidden, Text: "without an admin token this is for http://127.0.0.1, http://[::1] and http://localhost only"}
	errSite   = &refusal.Reply{Status: http.StatusForbidden, Text: "this is not for other sites' pages"}
)

// guard decides who may use the protected routes.
//
// With a token: whoever knows it. Without: whoever is on this machine. A web page
// in the operator's browser is on this machine too, and must not get in:
//
//   - It can send simple requests to 127.0.0.1. So every change needs a content
//     type that browsers ask about first.
//   - Its name can be made to resolve to 127.0.0.1. So the Host must be an address
//     of loopback.
//   - Browsers say which site a request comes from. So no other site's may pass.
func (s *Server) guard(req *http.Request) *refusal.Reply {
	switch {
	case s.opts.Token != "":
		switch token := bearer(req); {
		case token == "":
			return errToken
		case !sameText(token, s.opts.Token):
			placeOf(req).Wait() // others need not wait for it
			return s.guesses.refuse(req.Context(), clientAt(req.RemoteAddr))
		}
	case !s.local:
		return errClosed
	case !loopbackHost(req.Host):
		return errHost
	}
	switch req.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return errSite
	}
	if origin := req.Header.Get("Origin"); origin != "" && origin != "http://"+req.Host && origin != "https://"+req.Host {
		return errSite
	}
	if changes := req.Method == http.MethodPost || req.Method == http.MethodPut; changes && !refusal.IsJSON([]byte(req.Header.Get("Content-Type"))) {
		return refusal.ContentType
	}
	return nil
}

// bearer returns the token of a request. It may also come as a password, for tools
// that know no other way, such as go tool pprof http://:TOKEN@host/...
func bearer(req *http.Request) string {
	if _, password, ok := req.BasicAuth(); ok {
		return password
	}
	const scheme = "bearer "
	v := req.Header.Get("Authorization")
	if len(v) < len(scheme) || !strings.EqualFold(v[:len(scheme)], scheme) {
		return ""
	}
	return strings.TrimSpace(v[len(scheme):])
}

// sameText compares two texts. The time that it takes says nothing about them, not
// even their lengths.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// loopbackHost says whether a Host header names this machine in a way that no name
// server decides.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}
