package proc

import (
	"strings"
	"testing"
)

func TestTimeWait(t *testing.T) {
	const table = "  sl  local_address rem_address   st tx_queue rx_queue\n" +
		"   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0\n" + // the listener of 8080
		"   1: 0100007F:1F90 0200007F:8000 06 0:0 00:0\n" +
		"   2: 0200007F:8001 0100007F:1F90 06 0:0 00:0\n" +
		"   3: 0300007F:8001 0100007F:1F90 06 0:0 00:0\n" +
		"   4: 0300007F:8002 0100007F:1F90 01 0:0 00:0\n" + // established
		"   5: 0300007F:8002 0100007F:1F91 06 0:0 00:0\n" // of another server
	var got TimeWait
	if err := got.addFrom(strings.NewReader(table), 8080); err != nil || got != (TimeWait{Server: 1, Client: 2}) {
		t.Errorf("TIME_WAIT %+v, %v", got, err)
	}
	if err := got.addFrom(strings.NewReader("x\ny\n"), 8080); err == nil {
		t.Error("a table of another shape gave no error")
	}
	if _, err := CountTimeWait(1); err != nil {
		t.Error(err)
	}
}
