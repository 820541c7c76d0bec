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
