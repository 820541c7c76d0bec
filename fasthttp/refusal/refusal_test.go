package refusal

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/token"
)

// Errors of the core have their statuses, also when they are wrapped. One that no
// client caused is 503 and to be logged.
func TestOf(t *testing.T) {
	for err, status := range map[error]int{
		cow.ErrNoSlot: 404, cow.ErrBusy: 503, cow.ErrNoSpace: 507, cow.ErrClosed: 503, cow.ErrAway: 503, cow.ErrTooManySlots: 503, cow.ErrTooManyStreams: 503,
		&event.Error{Class: event.ErrTooLarge}: 413, &event.Error{Class: event.ErrShape}: 422, &event.Error{Class: event.ErrSyntax}: 400,
		line(event.ErrTooLarge): 413, line(event.ErrTooMany): 413, line(event.ErrShape): 422, line(event.ErrSyntax): 400,
		BodyTooLarge: 413, Query: 400, Decode([]byte("{"), new(int)): 400, Decode([]byte("{}"), new(int)): 422,
	} {
		reply, known := Of(fmt.Errorf("wrapped: %w", err))
		if reply.Status != status || !known {
			t.Errorf("%v: %d, %v; want %d", err, reply.Status, known, status)
		}
	}
	if reply, known := Of(errors.New("the disk is gone")); reply.Status != 503 || reply.RetryAfter == 0 || known {
		t.Errorf("%+v, %v", reply, known)
	}
}

func line(class error) error { return &event.LineError{Line: 404, Err: &event.Error{Class: class}} }

// The reply to a line names it, as a member and in a text that no client takes for a
// slot that is gone.
func TestOf_Line(t *testing.T) {
	for class, extra := range map[error]string{
		event.ErrTooLarge: `,"max_bytes":262144,"line":404`, event.ErrTooMany: `,"max_events":1000,"max_bytes":524288,"line":404`,
		event.ErrShape: `,"line":404`, event.ErrSyntax: `,"line":404`,
	} {
		reply, _ := Of(line(class))
		if reply.Extra != extra || !strings.Contains(reply.Text, "(line=404, offset=0)") || regexp.MustCompile(`[\s:]404`).MatchString(reply.Text) {
			t.Errorf("%s%s", reply.Text, reply.Extra)
		}
	}
}

// Clients look for these words, and take a reply that holds one for something else.
func TestTexts(t *testing.T) {
	free := regexp.MustCompile(`(^|[\s:])(404|410)($|[\s:])`)
	for _, r := range []*Reply{
		NotFound, NoBearer, UnknownSlot, WrongToken, Blocked, SlotShape, ContentType, LinesType, Compressed, BodyTooLarge, Framing, Timeout, CutBody, Internal, Busy,
		ManyBytes, ManyFields, NoSpace, Draining, ManySlots, ManyStreams, StreamShare, SlotStreams, ManyPolls, ManyConns, Query, QueryCurrent, Away, unavailable, SlotFull(1),
	} {
		var body map[string]any
		if err := json.Unmarshal(r.Body(""), &body); err != nil || body["error"] != r.Text || r.Error() != r.Text {
			t.Errorf("%s: %v", r.Body(""), err)
		}
		for _, word := range []string{"connection refused", "operation timed out", "certificate"} {
			if strings.Contains(strings.ToLower(string(r.Body(""))), word) {
				t.Errorf("%s holds %q", r.Body(""), word)
			}
		}
		if free.Match(r.Body("")) {
			t.Errorf("%s holds a free-standing status", r.Body(""))
		}
		if again := r.Status == 503 || r.Status == 507; again != (r.RetryAfter > 0) {
			t.Errorf("%d %s: Retry-After %d", r.Status, r.Text, r.RetryAfter)
		}
	}
}

// Each reason has a name of its own, and each right its reason.
func TestReasons(t *testing.T) {
	seen := map[string]bool{"": true}
	for why := Invalid; why < Reasons; why++ {
		if seen[why.String()] {
			t.Errorf("reason %d has the name %q of another, or none", why, why)
		}
		seen[why.String()] = true
	}
	for i, name := range token.Names() {
		if r := Missing(token.Right(1 << i)); r.Reason().String() != "right_"+name || r.Status != 403 {
			t.Errorf("the right %s: %s", name, r.Reason())
		}
	}
	for why, want := range map[Reason]bool{Taken: false, Slots: true, PairShares: true, Connections: false, FullSlot: true, Rate: false} {
		if why.AtLimit() != want {
			t.Errorf("%s: %v", why, !want)
		}
	}
}

func TestIsJSON(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "application/problem+json": true, " application/json ;x": true,
		"": false, "text/json": false, "application/+json": false, "application/jsonl": false, "text/plain": false,
	} {
		if IsJSON([]byte(kind)) != want {
			t.Errorf("%q: %v", kind, !want)
		}
	}
}

func TestIsLines(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/x-ndjson": true, "Application/X-NDJSON; charset=utf-8": true, " application/x-ndjson ;": true,
		"": false, "application/ndjson": false, "application/json": false, "application/x-ndjsonl": false, "text/x-ndjson": false,
	} {
		if IsLines([]byte(kind)) != want {
			t.Errorf("%q: %v", kind, !want)
		}
	}
}
