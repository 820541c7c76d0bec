package bound

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/valyala/fasthttp"

	"cowrelay/bench/wire"
)

const (
	// commitFileBytes is the size of the file of posts. It is filled with zeros
	// before the first post, and then written from its start again and again. So no
	// write has to allocate a block or to change the file's size.
	commitFileBytes = 128 << 20
	// commitBatch is how many posts share one sync at most, as in the relay.
	commitBatch = 1024
)

// A groupCommit is the bound of durable posts: it writes all posts that wait
// with one write, syncs them with one fdatasync, and answers them.
type groupCommit struct {
	in chan *waitingPost
	f  *os.File // without a reference to it, it would be closed
	fd int
}

// A waitingPost is a handler that waits for its post. body is the request's own
// memory, which stays until the handler returns.
type waitingPost struct {
	body []byte
	done chan struct{}
}

var waitingPosts = sync.Pool{New: func() any { return &waitingPost{done: make(chan struct{}, 1)} }}

// newGroupCommit makes the file of posts in dir.
func newGroupCommit(dir string) (*groupCommit, error) {
	f, err := os.Create(filepath.Join(dir, "bound.posts"))
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for range commitFileBytes / len(zeros) {
		if _, err := f.Write(zeros); err != nil {
			return nil, fmt.Errorf("cannot preallocate: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return &groupCommit{in: make(chan *waitingPost, commitBatch), f: f, fd: int(f.Fd())}, nil
}

// run is the commit loop. It calls published, unless that is nil, with each
// batch between its sync and its answers.
func (g *groupCommit) run(published func(batch []*waitingPost)) {
	var (
		batch  []*waitingPost
		buf    []byte
		offset int64 // in the file, of the next write
	)
	for p := range g.in {
		batch, buf = append(batch[:0], p), append(buf[:0], p.body...)
	drain:
		for len(batch) < commitBatch {
			select {
			case p := <-g.in:
				batch, buf = append(batch, p), append(buf, p.body...)
			default:
				break drain
			}
		}
		if offset+int64(len(buf)) > commitFileBytes {
			offset = 0
		}
		n, err := syscall.Pwrite(g.fd, buf, offset)
		if err == nil {
			err = syscall.Fdatasync(g.fd)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bound: cannot write:", err)
			os.Exit(1)
		}
		offset += int64(n)
		if published != nil {
			published(batch)
		}
		for _, p := range batch {
			p.done <- struct{}{}
		}
	}
}

// handler starts the commit loop and returns the handler that feeds it with posts
// of one event.
func (g *groupCommit) handler(t *wire.Template, published func([]*waitingPost)) fasthttp.RequestHandler {
	return g.answering(func(ctx *fasthttp.RequestCtx) { answerStored(ctx, t) }, published)
}

// answering is handler with another answer, which is given after the sync.
func (g *groupCommit) answering(answer fasthttp.RequestHandler, published func([]*waitingPost)) fasthttp.RequestHandler {
	go g.run(published)
	return func(ctx *fasthttp.RequestCtx) {
		p := waitingPosts.Get().(*waitingPost)
		p.body = ctx.PostBody()
		g.in <- p
		<-p.done
		p.body = nil
		waitingPosts.Put(p)
		answer(ctx)
	}
}
