package replay

// Queued is how many records wait for a cycle.
func Queued(j *Journal) int {
	j.queueMu.Lock()
	defer j.queueMu.Unlock()
	return len(j.queue)
}

// Committing says whether a Commit waits for the turn.
func Committing(j *Journal) bool { return j.committing.Load() }

// SetMaxProducers changes how many producers a state knows until the test ends.
func SetMaxProducers(t interface{ Cleanup(func()) }, n int) {
	old := maxProducers
	maxProducers = n
	t.Cleanup(func() { maxProducers = old })
}

// Reseal makes the checksum of a changed entry right.
func Reseal(entry []byte) []byte {
	return appendChecksum(entry[:len(entry)-entryChecksum], 0)
}

// Diverge makes the state of a journal another than that of all others. Nothing may be
// under way.
func Diverge(j *SharedJournal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.digest++
}

// Waiting is how many wait for a barrier's entry that is yet to be made.
func Waiting(j *SharedJournal) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.waiting == nil {
		return 0
	}
	return j.waiting.waiters
}
