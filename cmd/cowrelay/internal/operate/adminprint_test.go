package operate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// A list of slots fits a terminal of 80 columns, however large and old they are.
func TestPrintSlots_FitsATerminal(t *testing.T) {
	for _, posts := range []string{"null", "9999.5"} {
		var out bytes.Buffer
		cmd := new(cobra.Command)
		cmd.SetOut(&out)
		slot := fmt.Sprintf(`{"slot_id":%q,"events":9999999,"bytes":67108863,"streams":256,"blocked":true,"last_pull_at_unix":%d,"posts_per_second":%s}`,
			strings.Repeat("a", 32), time.Now().Add(-900*24*time.Hour).Unix(), posts)
		list := &slotList{Matching: 1, Slots: []json.RawMessage{json.RawMessage(slot)}}
		if err := printSlots(&adminSession{cmd: cmd}, list); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 2 || !strings.Contains(lines[1], "9,999,999") || !strings.Contains(lines[1], "blocked") {
			t.Errorf("%q", out.String())
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

// So do the tables of a fleet. The second one has the whole name, which forget takes.
func TestPrintFleet_FitsATerminal(t *testing.T) {
	name := strings.Repeat("n", 28)
	started := time.Now().Add(-900 * 24 * time.Hour).Unix()
	relay := func(self bool) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"name":%q,"self":%t,"live":false,"purges":true,"version":"v1.12.0-rc.1","started_unix":%d,"seen_seconds":360000,
"applied":9999999999,"durable":9990000000,"lag":99999999,"entries_per_second":99999.5,"reads":3,"admin":"10.100.100.100:9770"}`, name, self, started))
	}
	list := &fleetList{Head: 1e10, Format: 2, Members: []json.RawMessage{relay(true), relay(false)}}
	var out bytes.Buffer
	cmd := new(cobra.Command)
	cmd.SetOut(&out)
	if err := printFleet(&adminSession{cmd: cmd}, list); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 7 || lines[3] != "" {
		t.Fatalf("%q", out.String())
	}
	for i, want := range map[int][]string{
		1: {"nnn…*", "silent", "9,999,999,999", "99,999,999", "9,999,999", "100,000", "4d"},
		2: {"nnn… "}, 5: {name + "*", "900d", "3/2", "v1.12.0-rc.1", "10.100.100.100:9770"}, 6: {name + " "},
	} {
		for _, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("line %d lacks %q: %s", i, w, lines[i])
			}
		}
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	out.Reset()
	if err := printFleet(&adminSession{cmd: cmd, json: true}, list); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), `"name"`); got != 2 || strings.Contains(out.String(), "RELAY") {
		t.Errorf("as JSON: %q", out.String())
	}
}

// A slot tells how many events have left it, if any have.
func TestPrintSlot_EventsThatLeft(t *testing.T) {
	for slot, want := range map[string]bool{`{"events":1,"first":3}`: true, `{"events":1}`: false} {
		var out bytes.Buffer
		cmd := new(cobra.Command)
		cmd.SetOut(&out)
		if err := printSlot(&adminSession{cmd: cmd}, json.RawMessage(slot)); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "events that left  3\n") != want {
			t.Errorf("%s prints\n%s", slot, out.String())
		}
	}
}

// A slot tells how long it is kept, on 80 columns. An older relay doesn't say, so nothing
// is said.
func TestPrintSlot_Lifetime(t *testing.T) {
	in := time.Now().Add(90*time.Minute + 30*time.Second).Unix()
	const never = `"ends_unix":null,"ends_as":null`
	for slot, want := range map[string]string{
		`{"lifetime":{"ttl":{"seconds":86400,"by":"slot"},"unused_ttl":{"seconds":2592000,"by":"operator"},"event_ttl":{"seconds":90,"by":"operator"},"ephemeral_ttl":{"seconds":8,"by":"operator"},"event_keep":{"events":10000},"ends_unix":` + fmt.Sprint(in) + `,"ends_as":"unused"}}`: "events that left  0|idle TTL          1d0h, the slot's own|unused TTL        30d0h, the operator's|event TTL         1m30s, the operator's|ephemeral TTL     8s, the operator's|event keep        10,000 events, the operator's|ends              " + time.Unix(in, 0).Format(time.DateTime) + ", in 1h30m, as unused",
		`{"first":7,"lifetime":{"ttl":null,"event_keep":{"bytes":2097152},` + never + `}}`:                           "events that left  7|idle TTL          off|event TTL         off|ephemeral TTL     off|event keep        2.00 MiB, the operator's|ends              never",
		`{"streams":1,"lifetime":{"ttl":{"seconds":3600,"by":"slot"},` + never + `}}`:                                "events that left  0|idle TTL          1h0m, the slot's own|event TTL         off|ephemeral TTL     off|event keep        off|ends              not while it is streamed",
		`{"lifetime":{"ttl":{"seconds":3600,"by":"slot"},"ends_unix":` + fmt.Sprint(in-7200) + `,"ends_as":"idle"}}`: "events that left  0|idle TTL          1h0m, the slot's own|event TTL         off|ephemeral TTL     off|event keep        off|ends              " + time.Unix(in-7200, 0).Format(time.DateTime) + ", due, as idle",
		`{}`: "",
	} {
		var out bytes.Buffer
		cmd := new(cobra.Command)
		cmd.SetOut(&out)
		if err := printSlot(&adminSession{cmd: cmd}, json.RawMessage(slot)); err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(out.String(), "never\n") // behind the last pull
		lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
		if text := strings.Join(lines, "|"); text != want {
			t.Errorf("%s\nprints %s\nwant   %s", slot, text, want)
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}
