// Package host looks at what the kernel of this machine allows: queues of listeners,
// descriptors, memory of sockets, ports and tracked connections. It only reads.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Finding is one setting of the kernel.
type Finding struct {
	Name  string // as sysctl has it
	Value string // "": this system does not have it, or hides it
	Want  string // what to set it to; "": it is enough
	Why   string // what happens otherwise
}

// String is a line for people.
func (f Finding) String() string {
	switch {
	case f.Value == "":
		return f.Name + " is not visible here"
	case f.Want == "":
		return f.Name + "=" + f.Value + " is enough"
	}
	return fmt.Sprintf("%s=%s: %s; set it to %s", f.Name, f.Value, f.Why, f.Want)
}

// check is what a setting is held against.
type check struct {
	name string
	why  string
	want func(have []int64) string // "": it is enough
}

// Root is where the kernel shows its settings.
const Root = "/proc/sys"

const (
	backlog     = 4096 // new connections that wait when all clients come back at once
	socketBytes = 8 << 10
	leastBuffer = 4096 // bytes that each direction of a connection may always have
	otherFiles  = 10_000
)

// Look looks at all that matters for so many connections. It is an error if a setting
// can't be read that is there.
func Look(root string, conns int) (list []Finding, err error) {
	n := int64(conns)
	atLeast := func(most int64) func([]int64) string {
		return func(have []int64) string {
			if have[0] >= most {
				return ""
			}
			return strconv.FormatInt(most, 10)
		}
	}
	leastOf := func(have []int64) string {
		if have[0] <= leastBuffer || len(have) < 3 {
			return ""
		}
		return fmt.Sprintf("\"%d %d %d\"", leastBuffer, have[1], have[2])
	}
	pages := n * socketBytes / int64(os.Getpagesize())
	for _, c := range []check{
		{"net.core.somaxconn", "new connections are dropped when all clients come back at once", atLeast(backlog)},
		{"net.ipv4.tcp_max_syn_backlog", "the same, while they are being set up", atLeast(backlog)},
		{"fs.file-max", "all processes together have too few descriptors for the connections", atLeast(n + otherFiles)},
		{"fs.nr_open", "one process can't have descriptors for all connections", atLeast(n + otherFiles)},
		{"net.ipv4.tcp_mem", "sockets have too little memory, and the kernel drops data of all connections", func(have []int64) string {
			if len(have) < 3 || have[2] >= pages {
				return ""
			}
			return fmt.Sprintf("\"%d %d %d\" (pages)", pages/2, pages*3/4, pages)
		}},
		{"net.ipv4.tcp_rmem", "each connection may hold more than it needs at least", leastOf},
		{"net.ipv4.tcp_wmem", "each connection may hold more than it needs at least", leastOf},
		{"net.ipv4.ip_local_port_range", "a proxy on this machine has too few ports for all connections to one address of the relay", func(have []int64) string {
			if len(have) < 2 || have[1]-have[0]+1 >= min(n, 64_000) {
				return ""
			}
			return "\"1024 65535\", or give the relay a Unix socket or a second address"
		}},
		{"net.netfilter.nf_conntrack_max", "the firewall's table is full before the relay is, and new connections vanish", atLeast(2 * n)},
	} {
		f, e := c.look(root)
		list, err = append(list, f), errors.Join(err, e)
	}
	return list, err
}

func (c check) look(root string) (Finding, error) {
	f := Finding{Name: c.name, Why: c.why}
	path := filepath.Join(append([]string{root}, strings.Split(c.name, ".")...)...)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	fields := strings.Fields(string(data))
	var have []int64
	for _, text := range fields {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			if v, err = int64(^uint64(0)>>1), nil; len(text) < 19 { // more than an int64 holds is no bound
				return f, fmt.Errorf("%s: %q is no number", path, text)
			}
		}
		have = append(have, v)
	}
	if len(have) == 0 {
		return f, fmt.Errorf("%s is empty", path)
	}
	f.Value = strings.Join(fields, " ")
	f.Want = c.want(have)
	return f, nil
}
