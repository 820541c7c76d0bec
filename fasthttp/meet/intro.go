package meet

import (
	"errors"
	"net/http"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card"
	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/refusal"
)

// Known says whether somebody has a nick, before the body of an introduction to it
// is read.
func Known(handles *rendezvous.Directory, nick string) error {
	if _, ok := handles.Slot(nick); !ok {
		return noHandle
	}
	return nil
}

// Introduce puts the accepted event of a post into the slot of a nick. It returns
// the status and the body of the reply.
func Introduce(intros *rendezvous.Intros, from rendezvous.Source, nick string, post *cow.Post) (status int, reply []byte, err error) {
	duplicate, err := intros.Drop(nick, from, post)
	switch {
	case err != nil:
		return 0, nil, ofIntro(err)
	case duplicate:
		return http.StatusOK, []byte(`{"event_id":` + string(post.RawID()) + `,"status":"duplicate"}`), nil
	}
	return http.StatusCreated, []byte(`{"event_id":` + string(post.RawID()) + `,"status":"dropped","to_nick":"` + nick + `"}`), nil
}

// ofIntro is what a client hears of an introduction's error.
func ofIntro(err error) error {
	var not *rendezvous.NotIntroError
	var often *rendezvous.TooOftenError
	switch {
	case errors.Is(err, rendezvous.ErrNoHandle):
		return noHandle
	case errors.As(err, &not):
		return bad("not an introduction: kind must be 1100, and type pair_drop or agent_card", `,"got_kind":`+not.Kind+`,"got_type":`+not.Type)
	case errors.Is(err, rendezvous.ErrNoCard):
		return bad("the introduction has no card in its body", "")
	case errors.Is(err, card.ErrInvalid):
		return bad("the introduction "+err.Error(), "")
	case errors.Is(err, rendezvous.ErrBlocked):
		return refusal.Blocked
	case errors.As(err, &often):
		return &refusal.Reply{
			Status: http.StatusTooManyRequests, Text: introOften[often.Of],
			RetryAfter: int((often.Wait + time.Second - 1) / time.Second), Why: refusal.Intros,
		}
	}
	return err
}

var introOften = map[string]string{
	"source": "too many introductions to this nick from your address; try again",
	"did":    "too many introductions of this agent to this nick; try again",
	"nick":   "this nick gets too many introductions; try again",
}
