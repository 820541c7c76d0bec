package proc

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// A TimeWait counts sockets in the state TIME_WAIT. The side that closes first
// has them.
type TimeWait struct {
	Server int `json:"server"`
	Client int `json:"client"`
}

// CountTimeWait counts the sockets in TIME_WAIT, IPv4 and IPv6, of connections
// to a port. Both ends may be on this machine: the end whose port it is, is the
// server's.
func CountTimeWait(port int) (t TimeWait, err error) {
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if os.IsNotExist(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return t, err
		}
		err = t.addFrom(f, port)
		f.Close()
		if err != nil {
			return t, fmt.Errorf("cannot parse %s: %w", name, err)
		}
	}
	return t, nil
}

// stateTimeWait is TIME_WAIT in the column st of /proc/net/tcp.
const stateTimeWait = "06"

func (t *TimeWait) addFrom(r io.Reader, port int) error {
	want := fmt.Sprintf(":%04X", port)
	sc := bufio.NewScanner(r)
	sc.Scan() // the names of the columns
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 {
			return fmt.Errorf("line %q", sc.Text())
		}
		switch {
		case f[3] != stateTimeWait:
		case strings.HasSuffix(f[1], want):
			t.Server++
		case strings.HasSuffix(f[2], want):
			t.Client++
		}
	}
	return sc.Err()
}
