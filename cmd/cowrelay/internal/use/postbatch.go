package use

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"
)

// batches posts the input in order, many events in one request and one request at a
// time. What is read meanwhile goes into the next.
//
// If a relay refuses a batch because of one line, nothing of it is stored. Then the
// lines before that one are posted, then it alone is tried, and then come the rest.
type batches struct {
	*posting
	appender *relayclient.Appender
	single   bool // the relay takes no batches
	most     int  // the most events in a request; less after a refusal, and then more again
}

// run posts everything. Its error is why not all was posted.
func (b *batches) run(ctx context.Context, next func() (postItem, error)) error {
	var err error
	b.most = relayclient.BatchEvents
	if b.appender, err = b.session.mailbox.Appender(ctx); err != nil {
		return err
	}
	box := newOutbox()
	go box.fill(ctx, next) // it ends as readAhead does
	for {
		lines, err := box.take(ctx)
		switch {
		case err == io.EOF:
			return nil
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("cannot read the events: %w", err)
		case err != nil:
			return err
		}
		if err := b.post(ctx, lines); err != nil {
			return err
		}
	}
}

// post posts what is in the lines.
func (b *batches) post(ctx context.Context, lines *outLines) error {
	limit := b.most // of the next request
	for at := 0; at < len(lines.items); {
		if it := lines.items[at]; it.err != nil {
			b.fail(lines.item(at), it.err)
			at++
			continue
		}
		if b.single {
			if err := b.postOne(ctx, lines.item(at)); err != nil {
				return err
			}
			at++
			continue
		}
		n := 1
		for n < limit && at+n < len(lines.items) && lines.items[at+n].err == nil {
			n++
		}
		got, err := b.appender.PostLines(ctx, lines.lines(at, at+n))
		line := relayclient.FaultyLine(err)
		switch {
		case err == nil:
			b.counts.Stored += got.Stored
			// Duplicates of a post that was sent again are most likely that post itself.
			if got.Repeated {
				b.counts.Stored += got.Duplicates
			} else {
				b.counts.Duplicate += got.Duplicates
			}
			b.lastID = relayclient.EventID(lines.item(at + n - 1).event)
			at += n
			b.most = min(2*b.most, relayclient.BatchEvents)
			limit = b.most
			b.progress(lines.item(at - 1))
		case errors.Is(err, relayclient.ErrNotOffered):
			b.single = true
			b.note("the relay takes no batches: the events are posted one by one")
		case line > 1 && line <= n:
			b.most = max(n/2, 1)
			limit = line - 1
		case n > 1 && (errors.Is(err, relayclient.ErrSlotFull) || errors.Is(err, relayclient.ErrTooLarge) && line == 0):
			b.most = n / 2
			limit = b.most
		case relayclient.Hopeless(err):
			b.under = []postItem{lines.item(at)}
			return b.whereabouts(err)
		default: // the relay refuses the first line, or nobody knows what became of all
			if line == 1 {
				n = 1
			}
			b.failMany(lines.item(at), lines.item(at+n-1), n, b.session.explain(err))
			at += n
		}
	}
	return nil
}

// postOne posts one event, at a relay that takes no batches.
func (b *batches) postOne(ctx context.Context, it postItem) error {
	posted, err := b.session.mailbox.Post(ctx, it.event)
	return b.result(it, posted, err)
}

// whereabouts says how to find out what was stored, if nobody knows.
func (b *batches) whereabouts(err error) error {
	var lost *relayclient.LostError
	if next, known := b.appender.Next(); known && errors.As(err, &lost) && lost.Sent {
		return fmt.Errorf("%w; what is stored of them stands behind position %d: cowrelay pull --from %d", err, next, next)
	}
	return err
}

// note says something on stderr.
func (p *posting) note(text string) {
	p.clear()
	fmt.Fprintf(p.session.cmd.ErrOrStderr(), "%s: %s\n", p.session.cmd.CommandPath(), term.Shown(text))
}
