package use

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"cowrelay/cmd/cowrelay/internal/term"
)

// open opens the input. next returns its items, and io.EOF after the last one.
func (p *posting) open(args []string) (next func() (postItem, error), closeInput func() error, err error) {
	if p.file == "" {
		n := 0
		return func() (postItem, error) {
			if n == len(args) {
				return postItem{}, io.EOF
			}
			n++
			return postItem{event: []byte(args[n-1]), first: n, last: n}, nil
		}, func() error { return nil }, nil
	}
	if p.file == "-" {
		p.input = newPostInput(p.session.cmd.InOrStdin())
		p.total = -1
		return p.input.next, func() error { return nil }, nil
	}
	file, err := os.Open(p.file)
	if err != nil {
		return nil, nil, err
	}
	p.input = newPostInput(file)
	if info, err := file.Stat(); err == nil && info.IsDir() {
		file.Close()
		return nil, nil, fmt.Errorf("%s is a folder", p.file)
	}
	p.total = -1
	if term.IsTerminal(p.session.cmd.ErrOrStderr()) {
		p.total = countLines(p.file)
	}
	return p.input.next, file.Close, nil
}

// countLines returns how many lines a file has, or -1.
func countLines(name string) int64 {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	file, err := os.Open(name)
	if err != nil {
		return -1
	}
	defer file.Close()
	buf := make([]byte, 256<<10)
	for n := int64(0); ; {
		k, err := file.Read(buf)
		n += int64(strings.Count(string(buf[:k]), "\n"))
		if err != nil {
			return n
		}
	}
}

// aheadItem is an item, or the error that ends them.
type aheadItem struct {
	postItem
	end error
}

// readAhead reads on a goroutine of its own: a read of standard input does not end
// with ctx. The goroutine ends with the input or, after the next item, with ctx; or
// with the process, if nothing more comes.
func readAhead(ctx context.Context, next func() (postItem, error)) <-chan aheadItem {
	items := make(chan aheadItem, 256)
	go func() {
		for {
			it, err := next()
			select {
			case items <- aheadItem{it, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return items
}

// events yields the events to post, and reports what can't be posted.
func (p *posting) events(ctx context.Context, items <-chan aheadItem) func(func(json.RawMessage) bool) {
	return func(yield func(json.RawMessage) bool) {
		for {
			var it aheadItem
			select {
			case it = <-items:
			case <-ctx.Done():
				p.stopped = ctx.Err()
				return
			}
			if it.end != nil {
				if it.end != io.EOF {
					p.stopped = fmt.Errorf("cannot read the events: %w", it.end)
				}
				return
			}
			if it.err == nil {
				it.event, it.err = p.prepare(it.event)
			}
			if it.err != nil {
				p.fail(it.postItem, it.err)
				continue
			}
			p.under = append(p.under, it.postItem)
			if !yield(it.event) {
				return
			}
		}
	}
}

// prepared returns the next item of the input, with the id that it was asked to have.
// Its event lasts until the next call.
func (p *posting) prepared() (postItem, error) {
	it, err := p.input.view()
	if err == nil && it.err == nil {
		it.event, it.err = p.prepare(it.event)
	}
	return it, err
}

// prepare gives an event the id that it was asked to.
func (p *posting) prepare(event []byte) ([]byte, error) {
	switch {
	case p.id != "":
		return withID(event, p.id)
	case p.addID:
		with, err := withID(event, strings.ToLower(rand.Text()))
		if errors.Is(err, errHasID) {
			return event, nil
		}
		return with, err
	}
	return event, nil
}
