package use

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"

	"github.com/schollz/progressbar/v3"
)

// posting is one run of post. It belongs to the goroutine of run, on which the
// events are yielded too; outbox.fill or readAhead reads beside it.
//
// The lines of an input go this way:
//
//	line ──▶ input ──▶ outbox ──▶ batches ──▶ counts
//	         (view)   (read      (one under   stored, duplicate
//	                   ahead)     way)        or failed
//
// Events of the command line, and those of --parallel, are posted alone:
//
//	line ──▶ input ──▶ items ──▶ under ──▶ counts
//	         (next)   (read     (posted,
//	                   ahead)    waiting)
//
// What can't be posted goes to counts.Failed.
type posting struct {
	// As it was asked for.
	file, id string // "": none
	addID    bool
	parallel int // posts under way at once

	session *slotSession
	input   *postInput               // nil: events of the command line
	bar     *progressbar.ProgressBar // nil: none
	total   int64                    // lines of the input; -1: nobody knows, 0: it is the command line

	under   []postItem // posted and not answered, in order
	last    int        // the last line that was dealt with
	lastID  string     // the event_id of the last event that the relay has, or ""
	stopped error      // why not all were posted
	counts  sums
}

// sums is what became of the events.
type sums struct {
	Stored    int `json:"stored"`
	Duplicate int `json:"duplicate"`
	Failed    int `json:"failed"`
}

// result counts what became of one event. An error ends the whole.
func (p *posting) result(it postItem, posted relayclient.Posted, err error) error {
	if err != nil && relayclient.Hopeless(err) {
		p.under = append([]postItem{it}, p.under...)
		return err
	}
	p.progress(it)
	if err != nil {
		p.fail(it, p.session.explain(err))
		return nil
	}
	// A duplicate of a post that was sent again is most likely that post itself.
	if posted.Duplicate && !posted.Repeated {
		p.counts.Duplicate++
	} else {
		p.counts.Stored++
	}
	p.lastID = posted.ID
	return nil
}

// fail counts an event that is not posted, and says why.
func (p *posting) fail(it postItem, err error) { p.failMany(it, it, 1, err) }

// failMany counts n events that are not posted, and says why.
func (p *posting) failMany(from, to postItem, n int, err error) {
	p.counts.Failed += n
	p.last = to.last
	where := postItem{first: from.first, last: to.last}.where()
	if p.input == nil {
		where = fmt.Sprintf("event %d", from.first)
	}
	p.note(where + ": " + err.Error())
}

// progress moves the bar.
func (p *posting) progress(it postItem) {
	p.last = it.last
	if p.bar != nil {
		p.bar.Set64(int64(it.last))
	}
}

// clear takes the bar out of the way of a line.
func (p *posting) clear() {
	if p.bar != nil {
		p.bar.Clear()
	}
}

// finish prints the sums, and returns the error of the whole.
func (p *posting) finish() error {
	if p.bar != nil {
		p.clear()
		p.bar.Exit()
	}
	err := p.print()
	if p.stopped != nil {
		stopped := command.Interrupted(p.session.ctx, p.session.explain(p.stopped))
		if p.input != nil {
			from := p.last + 1
			if len(p.under) > 0 {
				from = p.under[0].first
			}
			stopped = fmt.Errorf("stopped at line %d: what comes from there is not posted, or nobody knows: %w", from, stopped)
		}
		return errors.Join(stopped, err)
	}
	if c := p.counts; err == nil && c.Failed > 0 {
		err = fmt.Errorf("%d of %d events failed", c.Failed, c.Failed+c.Stored+c.Duplicate)
	}
	return err
}

// print prints what became of the events, wherever they came from: the sums, and of an
// event that was the only one its id too.
func (p *posting) print() error {
	c, out := p.counts, p.session.cmd.OutOrStdout()
	one := c.Failed == 0 && c.Stored+c.Duplicate == 1
	status := "stored"
	if c.Duplicate > 0 {
		status = "duplicate"
	}
	var err error
	switch {
	case p.session.json && one:
		line := struct {
			ID     *string `json:"event_id"`
			Status string  `json:"status"`
			sums
		}{&p.lastID, status, c}
		if p.lastID == "" {
			line.ID = nil
		}
		err = json.NewEncoder(out).Encode(line)
	case p.session.json:
		err = json.NewEncoder(out).Encode(c)
	case one:
		_, err = fmt.Fprintln(out, strings.TrimSpace(status+" "+term.Printable(p.lastID)))
	default:
		_, err = fmt.Fprintf(out, "%s stored, %s duplicate, %s failed\n", human.Count(float64(c.Stored)), human.Count(float64(c.Duplicate)), human.Count(float64(c.Failed)))
	}
	return err
}
