package proc

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// A TimeWait counts sockets in TIME_WAIT: the side that closes first has them.
type TimeWait struct {
	Server int `json:"server"`
	Client int `json:"client"`
}

// CountTimeWait counts the IPv4 and IPv6 sockets in TIME_WAIT of connections
// to port, by the end that has them. Both ends on one machine are told apart
// by which of the two ports is the server's.
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
