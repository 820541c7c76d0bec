package cow

// MaxSlotBytes is the quota of a slot: the JSON of all its events together.
const MaxSlotBytes = 67_108_864

// Limits are what a store holds its callers to.
type Limits struct {
	Slots      int    // that may exist
	Reserve    uint64 // bytes of disk below which nothing new is written
	QueuePosts int    // posts that may wait for the journal
	QueueBytes int    // and bytes of their events
}

// Limits returns the limits as they are now.
func (s *Store) Limits() Limits {
	return Limits{
		Slots: int(s.maxSlots.Load()), Reserve: s.reserve.Load(),
		QueuePosts: s.opts.QueuePosts, QueueBytes: s.opts.QueueBytes,
	}
}

// FreeSpace returns how many bytes the journal's disk has left, if Options.Free
// can tell.
func (s *Store) FreeSpace() (free uint64, known bool) {
	if s.opts.Free == nil {
		return 0, false
	}
	free, err := s.opts.Free()
	return free, err == nil
}
