package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMeasureFleet(t *testing.T) {
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// Beside this test's program is none to call.
	var out bytes.Buffer
	if code := measureFleet(t.Context(), nil, &out, log); code != exitError {
		t.Errorf("exit %d", code)
	}
	if text, _ := os.ReadFile(log.Name()); !strings.Contains(string(text), "make relayfleet") {
		t.Errorf("it said %q", text)
	}
	program := filepath.Join(dir, "relayfleet")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"got $*\"\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := runFleet(t.Context(), program, []string{"--rounds", "2"}, &out, log); err == nil || out.String() != "got measure --rounds 2\n" {
		t.Errorf("%v, %q", err, out.String())
	}
}
