package cow_test

import (
	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// shortJournal loses all appends of a slot but the first few.
type shortJournal struct {
	*journaltest.Memory
	keep int
}

func (j *shortJournal) Feed(func(*cow.Append)) {}

func (j *shortJournal) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	n := 0
	return j.Memory.Load(slot, from, func(a *cow.Append) error {
		if n++; n > j.keep {
			return nil
		}
		return yield(a)
	})
}
