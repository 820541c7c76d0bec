//go:build !linux

package filelog

// Sync is the one that this system has.
func (f diskFile) Sync() error { return f.File.Sync() }

// Reserve does nothing: the zeros that follow take the room.
func (f diskFile) Reserve(int64) error { return nil }
