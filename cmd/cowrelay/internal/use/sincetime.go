package use

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// timeFields are the members of an event that are taken for its time. The first that
// holds one counts.
var timeFields = []string{"timestamp", "time", "ts", "created_at"}

// sinceHelp is the part of a command's help about --since.
const sinceHelp = `--since 10m prints the events of the last ten minutes, by the time that they carry
themselves, and --since 2026-03-01T12:00:00Z those from then on. 2d is two days. A
time without a zone is a local one, a date alone is its beginning. In an event a time
is a text as in RFC 3339, or a number of seconds or milliseconds since 1970. An event
that carries none counts as old as the one before it. With any other text, --since
begins behind the event with that event_id.`

// since is where a reader begins, as --since and --since-id give it: behind an event,
// or at a time of the events' own.
type since struct {
	text, id, field string // the flags

	at     time.Time // zero: not by time
	fields []string  // where events carry their time

	known   bool // an event has carried a time
	wanted  bool // the last one that did is not older than at
	unknown int  // events that were left out because none before carried one
}

// addFlags adds the flags.
func (b *since) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&b.text, "since", "", "begin at a time of the events' own: 10m ago, or 2026-03-01T12:00:00Z; else behind this event_id")
	f.StringVar(&b.id, "since-id", "", "event_id after which to begin, also if it looks like a time; an unknown one is as good as none")
	f.StringVar(&b.field, "time-field", "", "member of the event that holds its time; default: the first there is of timestamp, time, ts, created_at")
	command.NoFiles(cmd, "since", "since-id", "time-field")
}

// read reads the flags.
func (b *since) read(cmd *cobra.Command, now time.Time) error {
	if cmd.Flags().Changed("since") && cmd.Flags().Changed("since-id") {
		return command.Usage(errors.New("--since and --since-id exclude each other"))
	}
	b.fields = timeFields
	if b.field != "" {
		b.fields = []string{b.field}
	}
	at, ok := readTime(b.text, now)
	switch {
	case ok && at.After(now) && !strings.Contains(b.text, ":"):
		return command.Usage(fmt.Errorf("--since %s lies in the future: 10m is ten minutes ago", b.text))
	case ok:
		b.at = at
	case b.text != "":
		b.id = b.text
	}
	if b.field != "" && !b.byTime() {
		return command.Usage(errors.New("--time-field is for --since with a time"))
	}
	return nil
}

var days = regexp.MustCompile(`^([0-9]{1,4})d$`)

// readTime reads a duration before now, or a time, which is local if it names no zone.
// A bare number is neither: it may well be an event_id.
func readTime(text string, now time.Time) (time.Time, bool) {
	if m := days.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // it is one
		return now.AddDate(0, 0, -n), true
	}
	if d, err := time.ParseDuration(text); err == nil && strings.Trim(text, "+-0") != "" {
		return now.Add(-d), true
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// byTime says that the events' own times decide.
func (b *since) byTime() bool { return !b.at.IsZero() }

// cursor is the place to begin at, unless times decide.
func (b *since) cursor() relayclient.Cursor { return relayclient.After(b.id) }

// wants says whether an event is to be shown. Events are asked about in their order.
// One that carries no time counts as old as the last before it that does: it was
// posted later. Before the first of these it is left out, unless it is live: then it
// was posted just now.
func (b *since) wants(e relayclient.Event, live bool) bool {
	if !b.byTime() {
		return true
	}
	if at, ok := eventTime(e.JSON, b.fields); ok {
		b.known, b.wanted = true, !at.Before(b.at)
		return b.wanted
	}
	switch {
	case live:
		return true
	case !b.known:
		b.unknown++
	}
	return b.known && b.wanted
}

// note says on stderr what was left out because nobody knows its time.
func (b *since) note(cmd *cobra.Command) {
	if b.unknown > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: left out %d events: they carry no time, and neither does an event before them (--time-field names the member that holds it)\n", cmd.CommandPath(), b.unknown)
	}
}

// eventTime returns the time that an event carries: a text as in RFC 3339, or a number of
// seconds, milliseconds, microseconds or nanoseconds since 1970, whichever gives a time
// of our days.
func eventTime(event []byte, fields []string) (time.Time, bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(event, &members) != nil {
		return time.Time{}, false
	}
	for _, name := range fields {
		value := members[name]
		var text string
		if json.Unmarshal(value, &text) == nil {
			if t, err := time.Parse(time.RFC3339, text); err == nil {
				return t, true
			}
			continue
		}
		n, err := strconv.ParseFloat(string(value), 64)
		if err != nil || n <= 0 || n >= 1e20 {
			continue
		}
		for n >= 1e11 { // seconds reach that in the year 5138
			n /= 1000
		}
		whole, part := math.Modf(n)
		return time.Unix(int64(whole), int64(part*1e9)), true
	}
	return time.Time{}, false
}
