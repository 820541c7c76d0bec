package operate

import "context"

// asker asks the relay on a goroutine of its own, one question at a time. Its fields
// belong to the goroutine of watch, which takes the answers.
type asker struct {
	read    func(ctx context.Context, by string) (*reading, error)
	ctx     context.Context // until close
	cancel  context.CancelFunc
	answers chan answer // room for one, so that its sender never waits
	asking  bool        // an answer is still to come
}

// answer is a reading, or why there is none.
type answer struct {
	reading *reading
	err     error
}

func newAsker(ctx context.Context, read func(context.Context, string) (*reading, error)) *asker {
	a := &asker{read: read, answers: make(chan answer, 1)}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// ask asks for the slots in an order. While a question is open it does nothing: the
// next look comes soon.
func (a *asker) ask(by string) {
	if a.asking {
		return
	}
	a.asking = true
	go func() {
		r, err := a.read(a.ctx, by)
		a.answers <- answer{r, err}
	}()
}

// close calls the open question off, and waits until its goroutine has ended.
func (a *asker) close() {
	a.cancel()
	if a.asking {
		<-a.answers
	}
}
