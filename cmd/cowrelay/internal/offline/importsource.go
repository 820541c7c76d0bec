package offline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The files of a state folder.
const (
	fileTokens   = "tokens.json"
	fileInvites  = "invites.jsonl"
	fileCounters = "counters.json"
	fileHistory  = "stats-history.jsonl"
	dirSlots     = "slots"
	dirHandles   = "handles"
	dirHealth    = "responder-health"
)

// importSource is a state folder, as its files were when the import began.
type importSource struct {
	dir   string
	bytes int64
	// top are the files above; the others are by the folder that they lie in. All are
	// ordered by name.
	top                    map[string]importFile
	slots, handles, health []importFile
	unknown                []string
}

// importFile is a file of the source.
type importFile struct {
	name     string // in its folder, without its suffix
	path     string // within the source
	size     int64
	modified time.Time
}

// openImportSource lists the folder. It refuses one that is no state folder, and
// one that a process uses.
func openImportSource(dir string) (importSource, error) {
	s := importSource{dir: dir, top: make(map[string]importFile)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return s, fmt.Errorf("--from: %w", err)
	}
	known := false
	for _, e := range entries {
		switch name := e.Name(); name {
		case fileTokens, fileInvites, fileCounters, fileHistory:
			if f, ok := s.file(name, name, ""); ok {
				s.top[name], known = f, true
			}
		case dirSlots:
			s.slots, err = s.list(name, ".jsonl")
			known = true
		case dirHandles:
			s.handles, err = s.list(name, ".json")
			known = true
		case dirHealth:
			s.health, err = s.list(name, ".json")
			known = true
		default:
			s.unknown = append(s.unknown, name)
		}
		if err != nil {
			return s, fmt.Errorf("--from: %w", err)
		}
	}
	if !known {
		return s, fmt.Errorf("--from: %s is no state folder: it has no %s, no %s and no %s", dir, fileTokens, dirSlots, dirHandles)
	}
	if user := usedBy(dir); user != "" {
		return s, fmt.Errorf("--from: %s is in use by process %s: stop that relay first", dir, user)
	}
	return s, nil
}

// file describes a regular file. Anything else is listed as unknown.
func (s *importSource) file(name, path, suffix string) (f importFile, ok bool) {
	info, err := os.Stat(filepath.Join(s.dir, path))
	if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(name, suffix) {
		s.unknown = append(s.unknown, path)
		return f, false
	}
	s.bytes += info.Size()
	return importFile{strings.TrimSuffix(name, suffix), path, info.Size(), info.ModTime()}, true
}

func (s *importSource) list(dir, suffix string) (files []importFile, err error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	for _, e := range entries {
		if f, ok := s.file(e.Name(), filepath.Join(dir, e.Name()), suffix); ok {
			files = append(files, f)
		}
	}
	return files, err
}

func (s *importSource) open(f importFile) (*os.File, error) {
	return os.Open(filepath.Join(s.dir, f.path))
}

// whole reads a small file.
func (s *importSource) whole(f importFile, most int64) ([]byte, error) {
	if f.size > most {
		return nil, fmt.Errorf("it has %d bytes, more than %d", f.size, most)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, f.path))
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return data, err
}

// changed names a file or folder that is not as it was, or returns "". A relay
// that still writes there has changed one of them by now, or appended to one.
func (s *importSource) changed() string {
	now := importSource{dir: s.dir, top: make(map[string]importFile)}
	now.slots, _ = now.list(dirSlots, ".jsonl")
	now.handles, _ = now.list(dirHandles, ".json")
	now.health, _ = now.list(dirHealth, ".json")
	for name, f := range s.top {
		if g, ok := now.file(name, name, ""); !ok || !g.same(f) {
			return name
		}
	}
	for _, was := range [][2][]importFile{{s.slots, now.slots}, {s.handles, now.handles}, {s.health, now.health}} {
		if len(was[0]) != len(was[1]) {
			return "the list of files"
		}
		for n, f := range was[0] {
			if !f.same(was[1][n]) {
				return f.path
			}
		}
	}
	return ""
}

func (f importFile) same(g importFile) bool {
	return f.path == g.path && f.size == g.size && f.modified.Equal(g.modified)
}
