package pebblelog

import (
	"context"
	"sync"

	"cowrelay/cow"
)

type compactor struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	slots  []cow.ID
}

func (c *compactor) init() { c.ctx, c.cancel = context.WithCancel(context.Background()) }

func (c *compactor) add(removed []cow.ID) {}

func (c *compactor) waiting() uint64 { return 0 }

func (l *Log) compactLoop() { <-l.stop }
