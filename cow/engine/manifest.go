package engine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// manifestName is the last member of a copy's archive.
const manifestName = "manifest.json"

const manifestFormat = 1

// Bounds of what Restore takes. The largest is an archive of a million tables.
const (
	maxFiles    = 1 << 20
	maxManifest = 256 << 20
)

// Manifest says what a copy of a store holds. It ends the archive, so a copy without
// one was cut off.
type Manifest struct {
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
	Log     string    `json:"log,omitempty"` // the shared log that the store belongs to, 32 hex digits; "": none
	Applied uint64    `json:"applied"`       // the newest entry of the log that the store has
	Digest  uint64    `json:"digest,string"` // of the shared log behind that entry; 0: none
	Slots   uint64    `json:"slots"`
	Files   []File    `json:"files"`
}

// File is one file of a copy.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lowercase hex
}

// LogID is the log as a number. The zero value is none.
func (m *Manifest) LogID() (id [16]byte) {
	hex.Decode(id[:], []byte(m.Log)) // check has looked at it
	return id
}

// check says what is wrong with a manifest that came from somewhere else.
func (m *Manifest) check() error {
	if m.Format != manifestFormat {
		return fmt.Errorf("the copy has format %d, this program reads format %d", m.Format, manifestFormat)
	}
	if b, err := hex.DecodeString(m.Log); err != nil || len(b) != 0 && len(b) != 16 {
		return errors.New("its manifest names no log of 32 hex digits")
	}
	return nil
}
