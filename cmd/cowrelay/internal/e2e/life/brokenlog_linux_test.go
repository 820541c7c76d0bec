package life

import (
	"os"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

func TestBrokenLog_FullDisk(t *testing.T) {
	w, err := os.OpenFile(relaytest.FullDisk(t).Name(), os.O_WRONLY, 0) // the relay alone has w
	if err != nil {
		t.Fatal(err)
	}
	costsLinesAlone(t, w, "error", func() {})
}
