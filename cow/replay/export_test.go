package replay

// Queued is how many records wait for a cycle.
func Queued(j *Journal) int {
	j.queueMu.Lock()
	defer j.queueMu.Unlock()
	return len(j.queue)
}

// Committing says whether a Commit waits for the turn.
func Committing(j *Journal) bool { return j.committing.Load() }
