package admin

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"

	"cowrelay/fasthttp/refusal"

	"github.com/go-json-experiment/json"
)

// body reads the small JSON object of a request into v. No body is {}.
func body(req *http.Request, v any) error { return bodyOf(req, v, 16<<10) }

// bodyOf reads the JSON object of a request into v, if it has at most so many bytes.
func bodyOf(req *http.Request, v any, most int) error {
	data, err := io.ReadAll(io.LimitReader(req.Body, int64(most)+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusal.Timeout
	case err != nil:
		return refusal.CutBody
	case len(data) > most:
		return refusal.BodyTooLarge
	case len(data) == 0:
		return nil
	}
	return refusal.Decode(data, v)
}

// fail replies to a request that met err.
func (s *Server) fail(w http.ResponseWriter, err error) {
	reply, known := refusal.Of(err)
	if !known {
		s.opts.Logger.Error("request failed", "error", err)
	}
	refuse(w, reply)
}

// refuse sends an error reply.
func refuse(w http.ResponseWriter, f *refusal.Reply) {
	if f.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer, Basic realm="cowrelay admin"`)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	replyJSON(w, f.Status, map[string]string{"error": f.Text})
}

// replyJSON sends v, which must be fit for JSON.
func replyJSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(text, '\n')) // an error means that the client left
	return nil
}
