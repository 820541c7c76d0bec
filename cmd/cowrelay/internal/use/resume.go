package use

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"cowrelay/cmd/cowrelay/internal/wholefile"
	relayclient "cowrelay/fasthttp/client"
)

// resume is a file that holds the place in a slot behind the last event that is done,
// so that the next run goes on there. It holds nothing secret. It belongs to one
// goroutine at a time.
type resume struct {
	path string // "": none
	slot string

	last    relayclient.Cursor
	unsaved bool      // last is not in the file
	next    time.Time // when to save again
}

// resumeFile is what the file holds.
type resumeFile struct {
	Slot   string             `json:"slot_id"`
	Cursor relayclient.Cursor `json:"cursor"`
}

// resumeBytes is the most bytes of the file: an id has at most 128.
const resumeBytes = 4 << 10

// load returns the place that the file holds, if it is there.
func (r *resume) load() (at relayclient.Cursor, ok bool, err error) {
	if r.path == "" {
		return at, false, nil
	}
	text, err := wholefile.Read(r.path, resumeBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return at, false, nil
	}
	if err != nil {
		return at, false, fmt.Errorf("--resume: %w", err)
	}
	var f resumeFile
	if err := json.Unmarshal(text, &f); err != nil || f.Slot == "" {
		return at, false, fmt.Errorf("--resume: %s is no file of a place in a slot: give the name of one that is not there", r.path)
	}
	if f.Slot != r.slot {
		return at, false, fmt.Errorf("--resume: %s holds a place in slot %s, and this is slot %s", r.path, f.Slot, r.slot)
	}
	return f.Cursor, true, nil
}

// done takes the place behind an event that is done, and saves it, at most once in so
// much time.
func (r *resume) done(at relayclient.Cursor, every time.Duration) error {
	r.last, r.unsaved = at, true
	if now := time.Now(); r.path != "" && !now.Before(r.next) {
		r.next = now.Add(every)
		return r.save()
	}
	return nil
}

// save saves the last place, if there is one that is not saved.
func (r *resume) save() error {
	if r.path == "" || !r.unsaved {
		return nil
	}
	text, err := json.Marshal(resumeFile{r.slot, r.last})
	if err == nil {
		err = wholefile.Write(r.path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	r.unsaved = false
	return nil
}
