package pebblelog

import "cowrelay/cow"

type compactor struct{}

func (c *compactor) add([]cow.ID) {}
