package card

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// The table is what existing agents' JSON library prints.
func TestNumbers_AsAgentsPrintThem(t *testing.T) {
	numberRows(t, func(raw, want string) {
		got, err := appendNumber(nil, raw)
		if err != nil {
			got = []byte("ERR")
		}
		if string(got) != want {
			t.Errorf("%s prints as %s, want %s", raw, got, want)
		}
	})
}

func numberRows(t *testing.T, row func(raw, want string)) {
	t.Helper()
	f, err := os.Open("testdata/card-numbers.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		raw, want, _ := strings.Cut(s.Text(), "\t")
		if !strings.HasPrefix(raw, "#") {
			rows++
			row(raw, want)
		}
	}
	if rows != 3000 {
		t.Errorf("the table has %d rows", rows)
	}
}
