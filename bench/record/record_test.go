package record

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

type line struct {
	N float64 `json:"n"`
}

// What several goroutines put is in the record, and is read again in the same order.
func TestWriter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "made", "run.jsonl")
	var put, read []line
	w, err := Create(file, func(l line) { put = append(put, l) })
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				w.Put(line{float64(i*50 + j)})
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Read(file, func(l line) { read = append(read, l) }); err != nil || len(read) != 200 || !slices.Equal(read, put) {
		t.Errorf("%d lines were put, and %d read: %v", len(put), len(read), err)
	}
}

// What can't be written is in the record all the same, and the error comes at the end.
func TestWriter_error(t *testing.T) {
	n := 0
	w, err := Create(filepath.Join(t.TempDir(), "run.jsonl"), func(line) { n++ })
	if err != nil {
		t.Fatal(err)
	}
	w.Put(line{math.NaN()})
	w.Put(line{1})
	var nan *json.UnsupportedValueError
	if err := w.Close(); n != 2 || !errors.As(err, &nan) {
		t.Errorf("%d entries, error %v", n, err)
	}
	if _, err := Create(t.TempDir(), func(line) {}); err == nil {
		t.Error("a folder is a file")
	}
}

func TestRead_error(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.jsonl")
	n := 0
	if err := Read(file, func(line) { n++ }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(file, []byte("{\"n\":1}\n{\"n\""), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(file, func(line) { n++ }); err == nil || !strings.Contains(err.Error(), "run.jsonl: line 2: ") || n != 1 {
		t.Errorf("a line that was cut off: %d lines, %v", n, err)
	}
}

func TestVerdict(t *testing.T) {
	v := NewVerdict()
	v.Bar("disk", true, "%d bytes", 5)
	if !v.OK || v.Failed() != nil {
		t.Errorf("a bar that holds: %+v", v)
	}
	v.Bar("memory", false, "grows")
	v.Bar("log", true, "flat")
	if want := "holds  disk: 5 bytes\nFAILS  memory: grows\nholds  log: flat\n"; v.OK || v.String() != want || !slices.Equal(v.Failed(), []string{"memory"}) {
		t.Errorf("%v fail: %v\n%s", v.Failed(), v.OK, v)
	}
}

func TestDiskUse(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "log", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "log/c", "log/deep/d"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 100_000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parts, total, err := DiskUse(dir)
	if err != nil || len(parts) != 2 || parts["."] < 200_000 || parts["log"] < 200_000 || total != parts["."]+parts["log"] {
		t.Errorf("%v, together %d: %v", parts, total, err)
	}
	if _, total, err := DiskUse(filepath.Join(dir, "gone")); total != 0 || err != nil {
		t.Errorf("no folder: %d, %v", total, err)
	}
}
