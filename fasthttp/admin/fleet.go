package admin

import (
	"context"
	"net/http"
	"strconv"

	"cowrelay/fasthttp/refusal"
)

// Fleet is what operators see of the relays that share a log.
type Fleet interface {
	// Members are all relays that the log knows, by name.
	Members() ([]Member, error)
	// Forget drops what the log knows of a relay. The error is one of refusal's if
	// there is no such relay, or if it lives.
	Forget(ctx context.Context, name string) error
	// Format is the newest format of entries that the relays may write.
	Format() int
	// Upgrade lets the relays write entries of the newest format that this one knows,
	// and returns it. The error is one of refusal's if another relay can't read that.
	Upgrade(ctx context.Context) (format int, err error)
}

// Member is one relay of a fleet.
type Member struct {
	Name    string  `json:"name"`
	Self    bool    `json:"self"`    // the relay that was asked
	Live    bool    `json:"live"`    // it was heard of lately
	Purges  bool    `json:"purges"`  // the one that purges the log
	Version string  `json:"version"` // of the program
	Started int64   `json:"started_unix"`
	Seen    float64 `json:"seen_seconds"` // since it was heard of
	Applied uint64  `json:"applied"`      // the newest entry that it had applied then
	Durable uint64  `json:"durable"`      // the newest that it keeps over a crash
	Lag     uint64  `json:"lag"`          // entries that it was behind the log
	Entries float64 `json:"entries_per_second"`
	Reads   int     `json:"reads"`           // the newest format of entries that it reads
	Admin   string  `json:"admin,omitempty"` // its operators' listener, if it tells
}

// Members is what GET /admin/v1/fleet gives.
type members struct {
	Head    uint64   `json:"head"`
	Format  int      `json:"format"` // the newest format of entries that they may write
	Members []Member `json:"members"`
}

var errNoFleet = &refusal.Reply{Status: http.StatusNotFound, Text: "this relay has a log of its own: there is no fleet (--journal jetstream makes one)"}

func (s *Server) listFleet(_ *attached, w http.ResponseWriter, _ *http.Request) error {
	f := s.fleet.Load()
	if f == nil {
		return errNoFleet
	}
	list, err := (*f).Members()
	if err != nil {
		return err
	}
	out := members{Format: (*f).Format(), Members: list}
	for _, m := range list {
		out.Head = max(out.Head, m.Applied+m.Lag)
	}
	return replyJSON(w, http.StatusOK, out)
}

func (s *Server) forgetMember(_ *attached, w http.ResponseWriter, req *http.Request) error {
	f := s.fleet.Load()
	if f == nil {
		return errNoFleet
	}
	name := req.PathValue("name")
	if err := (*f).Forget(req.Context(), name); s.acted(req, "forget relay", name, err) != nil {
		return err
	}
	return replyJSON(w, http.StatusOK, map[string]string{"forgotten": name})
}

func (s *Server) upgradeFleet(_ *attached, w http.ResponseWriter, req *http.Request) error {
	f := s.fleet.Load()
	if f == nil {
		return errNoFleet
	}
	format, err := (*f).Upgrade(req.Context())
	if s.acted(req, "upgrade fleet", strconv.Itoa(format), err) != nil {
		return err
	}
	return replyJSON(w, http.StatusOK, map[string]int{"format": format})
}
