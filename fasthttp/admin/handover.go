package admin

import (
	"errors"
	"net/http"

	"cowrelay/fasthttp/refusal"
)

// ErrUnderWay is the error of a hand-over that finds another one under way.
var ErrUnderWay = errors.New("another hand-over is under way")

// handOver has another program take the relay's place. It answers when that program is
// found fit. The status shows when it serves.
func (s *Server) handOver(_ *attached, w http.ResponseWriter, req *http.Request) error {
	if s.opts.HandOver == nil {
		return &refusal.Reply{Status: http.StatusNotImplemented, Text: "this relay can't be handed over from here"}
	}
	count, _ := s.handedOver()
	version, err := s.opts.HandOver(req.Context())
	s.acted(req, "hand over", "relay", err)
	switch {
	case errors.Is(err, ErrUnderWay):
		return &refusal.Reply{Status: http.StatusConflict, Text: err.Error() + ": wait for its end"}
	case err != nil:
		return &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "the program can't take over, and the relay goes on: " + err.Error()}
	}
	return replyJSON(w, http.StatusAccepted, struct {
		Version   string `json:"version"`
		Handovers int    `json:"handovers"` // until now
	}{version, count})
}

func (s *Server) handedOver() (count int, failed string) {
	if s.opts.HandedOver == nil {
		return 0, ""
	}
	return s.opts.HandedOver()
}
