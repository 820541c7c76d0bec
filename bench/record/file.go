package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// maxLine is the longest line that is read, in bytes.
const maxLine = 16 << 20

// Read gives the entries of a file to add, in their order. An error names the line.
func Read[E any](file string, add func(E)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, maxLine)
	for n := 1; sc.Scan(); n++ {
		var e E
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			return fmt.Errorf("%s: line %d: %w", file, n, err)
		}
		add(e)
	}
	return sc.Err()
}

// A Writer writes entries to a file, and gives each to a record. Safe for several
// goroutines. Make it with Create.
type Writer[E any] struct {
	mu  sync.Mutex // guards the fields below, and what add changes
	f   *os.File
	add func(E)
	err error // the first
}

// Create makes a file, and its folder if that is missing. Each entry goes to add too.
func Create[E any](file string, add func(E)) (*Writer[E], error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	return &Writer[E]{f: f, add: add}, nil
}

// Put writes an entry. An error is kept for Close: the run goes on, and the
// record has the entry all the same.
func (w *Writer[E]) Put(e E) {
	b, err := json.Marshal(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(e)
	if err == nil {
		_, err = w.f.Write(append(b, '\n'))
	}
	if w.err == nil {
		w.err = err
	}
}

// Close closes the file, and returns the first error of Put too.
func (w *Writer[E]) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.f.Close())
}
