package fasthttp

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"
)

var (
	errAdminToken  = &failure{status: fasthttp.StatusUnauthorized, text: "send Authorization: Bearer <admin token>"}
	errAdminClosed = &failure{status: fasthttp.StatusForbidden, text: "the admin listener is not on loopback and the relay has no admin token: give it --admin-token-file"}
	errAdminHost   = &failure{status: fasthttp.StatusForbidden, text: "without an admin token this is for http://127.0.0.1, http://[::1] and http://localhost only"}
	errAdminSite   = &failure{status: fasthttp.StatusForbidden, text: "this is not for other sites' pages"}
)

// guard decides who may use the protected routes.
//
// With a token: who knows it. Without: who is on this machine. There a web
// page in the operator's browser is on this machine too. It can send simple
// requests to 127.0.0.1, so every change needs a content type that browsers
// ask about first; it can have its own name resolve to 127.0.0.1, so the Host
// must be an address of loopback; and browsers say where a request comes from.
func (a *Admin) guard(req *http.Request) *failure {
	switch {
	case a.opts.Token != "":
		switch token := adminBearer(req); {
		case token == "":
			return errAdminToken
		case !sameText(token, a.opts.Token):
			placeOf(req).wait() // others need not wait for it
			return a.guesses.refuse(req.Context(), keyOfRemote(req.RemoteAddr))
		}
	case !a.local:
		return errAdminClosed
	case !loopbackHost(req.Host):
		return errAdminHost
	}
	switch req.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return errAdminSite
	}
	if origin := req.Header.Get("Origin"); origin != "" && origin != "http://"+req.Host && origin != "https://"+req.Host {
		return errAdminSite
	}
	if changes := req.Method == http.MethodPost || req.Method == http.MethodPut; changes && !isJSON([]byte(req.Header.Get("Content-Type"))) {
		return errContentType
	}
	return nil
}

// adminBearer returns the token of a request. As a password it serves tools
// that know no other way, such as go tool pprof http://:TOKEN@host/...
func adminBearer(req *http.Request) string {
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

// sameText compares in a time that tells nothing, not even the length.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// loopbackHost says whether a Host header names this machine by what no name
// server decides.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// handle adds a protected route. Its errors become JSON replies, as on the
// public side.
func (a *Admin) handle(pattern string, serve func(*Relay, http.ResponseWriter, *http.Request) error) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
		r := a.relay.Load()
		if refused := a.guard(req); refused != nil {
			// Once a second, or who guesses tokens fills the log.
			if now := time.Now().Unix(); a.denied.Swap(now) != now {
				a.opts.Logger.Warn("admin request refused", "remote", req.RemoteAddr, "method", req.Method, "path", loggedPath([]byte(req.URL.Path)), "why", refused.text)
			}
			if req.ContentLength != 0 {
				w.Header().Set("Connection", "close") // its body is not waited for
			}
			refused.reply(w)
			return
		}
		if placeOf(req).begin() {
			w.Header().Set("Connection", "close")
		}
		if err := serve(r, w, req); err != nil {
			r.asFailure(err).reply(w)
		}
	})
}

// reply sends the failure over net/http.
func (f *failure) reply(w http.ResponseWriter) {
	if f.status == fasthttp.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer, Basic realm="cowrelay admin"`)
	}
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	replyJSON(w, f.status, map[string]string{"error": f.text})
}

// replyJSON sends v, which must be fit for JSON.
func replyJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // an error means that the client left
	return nil
}
