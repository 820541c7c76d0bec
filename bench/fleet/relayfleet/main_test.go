package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommand_wrongUsage(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, args := range [][]string{
		nil, {"dance"}, {"chaos"}, {"chaos", "--relay", "x", "now"}, {"chaos", "--relay", "x", "--rounds", "0"},
		{"chaos", "--relay", "x", "--faulty", "1ms"}, {"chaos", "--relay", "x", "--journal", "paper", "--dir", t.TempDir()},
		{"measure"}, {"measure", "--relay", "x", "--cold-slots", "0"}, {"measure", "--relay", "x", "--conns", "2"},
	} {
		if command(t.Context(), args) == nil {
			t.Errorf("%q: no error", args)
		}
	}
	var out bytes.Buffer
	for _, run := range []string{"chaos", "measure"} {
		err := map[string]func() error{
			"chaos":   func() error { return runChaos(t.Context(), []string{"--help"}, &out, log) },
			"measure": func() error { return runMeasure(t.Context(), []string{"--help"}, &out, log) },
		}[run]()
		if err != nil {
			t.Errorf("%s --help: %v", run, err)
		}
	}
	if text, _ := os.ReadFile(log.Name()); !strings.Contains(string(text), "-seed") || !strings.Contains(string(text), "-replay-events") {
		t.Errorf("help says %s", text)
	}
}

// A relay that can't even start is a clear error, and its log is kept.
func TestChaos_relayThatEnds(t *testing.T) {
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var out bytes.Buffer
	err = runChaos(t.Context(), []string{"--relay", "/bin/false", "--journal", "file", "--dir", dir, "--rounds", "1", "--patience", "1s"}, &out, log)
	if err == nil || !strings.Contains(err.Error(), "folders and logs are in "+dir) {
		t.Errorf("error %v", err)
	}
}
