package operate

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/human"
)

// slotRow is one slot as the admin API describes it.
type slotRow struct {
	ID       string   `json:"slot_id"`
	Events   uint64   `json:"events"`
	First    uint64   `json:"first"`
	Bytes    uint64   `json:"bytes"`
	Streams  int      `json:"streams"`
	Hot      bool     `json:"hot"`
	Blocked  bool     `json:"blocked"`
	PulledAt *int64   `json:"last_pull_at_unix"`
	Posts    *float64 `json:"posts_per_second"`
	Block    *struct {
		At     int64  `json:"at_unix"`
		Reason string `json:"reason"`
	} `json:"block"`
	Health   json.RawMessage `json:"responder_health"`
	Lifetime *slotLifetime   `json:"lifetime"` // of one slot, by relays that tell it
}

// slotList is the reply to a list of slots.
type slotList struct {
	Matching int               `json:"matching"`
	Seconds  float64           `json:"seconds"`
	Slots    []json.RawMessage `json:"slots"`
}

// rows reads the slots of the list.
func (l *slotList) rows() ([]slotRow, error) {
	rows := make([]slotRow, len(l.Slots))
	for i, s := range l.Slots {
		if err := json.Unmarshal(s, &rows[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// listSlots returns the first slots in an order: blocked ones only or all, with
// their rates of posts or without. Rates take the relay a second if nobody asked
// for them just before.
func listSlots(ctx context.Context, c *adminclient.Client, by string, limit int, blocked, rates bool) (*slotList, error) {
	q := url.Values{"by": {by}, "limit": {strconv.Itoa(limit)}, "blocked": {strconv.FormatBool(blocked)}, "rates": {strconv.FormatBool(rates)}}
	list := new(slotList)
	return list, c.Call(ctx, http.MethodGet, "/admin/v1/slots?"+q.Encode(), nil, list)
}

func (r *slotRow) state() string {
	switch {
	case r.Blocked:
		return "blocked"
	case r.Hot:
		return "hot"
	}
	return "cold"
}

func (r *slotRow) pulled(now time.Time) string {
	if r.PulledAt == nil {
		return "never"
	}
	return human.Age(now.Sub(time.Unix(*r.PulledAt, 0))) + " ago"
}
