package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cowrelay/cow"
	"cowrelay/fasthttp/refusal"
)

// reads is the newest format of entries that a relay reads.
func (r *record) reads() int { return max(r.Reads, 1) }

// Format implements admin.Fleet.
func (b *Book) Format() int { return b.opts.Formats.Format() }

// Upgrade implements admin.Fleet. A silent relay counts too: it may come back. One that
// does not has to be forgotten first.
//
// A relay of an older program that comes between the look and the record ends when it
// sees the record. That loses nothing: it says what to start in its place.
func (b *Book) Upgrade(context.Context) (int, error) {
	to := b.opts.Formats.Reads()
	if b.Format() >= to {
		return b.Format(), nil
	}
	var old []string
	b.mu.Lock()
	for name, m := range b.members {
		if m.reads() < to && m.Run != b.run {
			old = append(old, fmt.Sprintf("%s (%s)", name, m.Version))
		}
	}
	b.mu.Unlock()
	if len(old) > 0 {
		slices.Sort(old)
		return b.Format(), &refusal.Reply{Status: http.StatusConflict, Text: "these relays can't read what the newest one writes: " + strings.Join(old, ", ") + ": start a newer cowrelay in their place, or forget those that do not come back"}
	}
	if err := b.opts.Formats.Raise(to); err != nil {
		if errors.Is(err, cow.ErrAway) {
			err = &refusal.Reply{Status: http.StatusServiceUnavailable, Text: "the shared log can't be reached: try again"}
		}
		return b.Format(), err
	}
	b.opts.Logger.Info("the relays of the fleet may write a newer format of entries: older programs can't take part any more", "format", to)
	return to, nil
}
