package use

import (
	"bytes"
	"context"
	"sync"

	relayclient "cowrelay/fasthttp/client"
)

// outLines is events that go out together, or lines that are none, in the order of
// the input. It is reused.
type outLines struct {
	text  []byte // the events, a line each
	items []outItem
}

// outItem is one event, or lines that are none.
type outItem struct {
	end         int // of its line in text
	first, last int // lines of the input
	err         error
}

// add appends an item. It returns false if there is no room for it.
func (o *outLines) add(it postItem) bool {
	if len(o.items) == relayclient.BatchEvents || len(o.text) > 0 && len(o.text)+len(it.event)+1 > relayclient.BatchBytes {
		return false
	}
	switch {
	case it.err != nil:
	case it.first == it.last:
		o.text = append(append(o.text, it.event...), '\n')
	default:
		o.text = relayclient.AppendLine(o.text, it.event)
	}
	o.items = append(o.items, outItem{len(o.text), it.first, it.last, it.err})
	return true
}

// lines returns the text of the items from a up to b.
func (o *outLines) lines(a, b int) []byte {
	begin := 0
	if a > 0 {
		begin = o.items[a-1].end
	}
	return o.text[begin:o.items[b-1].end]
}

// item returns an item with its event.
func (o *outLines) item(n int) postItem {
	it := o.items[n]
	return postItem{bytes.TrimSuffix(o.lines(n, n+1), []byte{'\n'}), it.first, it.last, it.err}
}

func (o *outLines) reset() { o.text, o.items = o.text[:0], o.items[:0] }

// outbox holds what was read and waits to be posted, while the post before is under
// way. The reader fills it. The poster takes all that is there: as much as fits into
// one post if the input is fast, a single line if lines come slowly.
type outbox struct {
	mu    sync.Mutex
	lines *outLines // guarded by mu; what was read and not taken
	spare *outLines // guarded by mu; what was taken last: the poster's until it takes again
	end   error     // guarded by mu; why no more comes; io.EOF at the end of the input

	filled chan struct{} // one signal: lines or end has changed
	taken  chan struct{} // one signal: there is room again
}

func newOutbox() *outbox {
	return &outbox{lines: new(outLines), spare: new(outLines), filled: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
}

// fill reads items to their end, or until ctx ends. The events need not last longer
// than until the next call of next.
func (b *outbox) fill(ctx context.Context, next func() (postItem, error)) {
	for {
		it, err := next()
		if err != nil {
			b.mu.Lock()
			b.end = err
			b.mu.Unlock()
			signal(b.filled)
			return
		}
		for !b.put(it) {
			select {
			case <-b.taken:
			case <-ctx.Done():
				return
			}
		}
	}
}

// put adds an item if there is room.
func (b *outbox) put(it postItem) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.lines.add(it) {
		return false
	}
	if len(b.lines.items) == 1 {
		signal(b.filled)
	}
	return true
}

// take returns what is there, and waits until there is something. What it returned
// before is used again. Its error is why nothing more comes.
func (b *outbox) take(ctx context.Context) (*outLines, error) {
	for {
		b.mu.Lock()
		if lines := b.lines; len(lines.items) > 0 {
			b.lines, b.spare = b.spare, lines
			b.lines.reset()
			b.mu.Unlock()
			signal(b.taken)
			return lines, nil
		}
		end := b.end
		b.mu.Unlock()
		if end != nil {
			return nil, end
		}
		select {
		case <-b.filled:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// signal leaves one signal, if there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
