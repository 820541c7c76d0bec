package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// parsed is for a value that the package which uses it reads by its own parser.
func parsed[T any](to *T, parse func(string) (T, error)) func(string) error {
	return func(v string) (err error) {
		*to, err = parse(v)
		return err
	}
}

// text reads anything but nothing.
func text(to *string) func(string) error {
	return func(v string) error {
		if v == "" {
			return errors.New("it must not be empty")
		}
		*to = v
		return nil
	}
}

// address reads host:port, or nothing. Port 0 lets the system choose.
func address(to *string) func(string) error {
	return func(v string) error {
		*to = v
		if v == "" {
			return nil
		}
		if _, port, err := net.SplitHostPort(v); err != nil {
			return errors.New("it is host:port, such as 127.0.0.1:8770")
		} else if n, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("the port is a number from 0 to 65535, not %q", port)
		} else if n == 0 {
			return nil // the log tells which one the system chose
		}
		return nil
	}
}

// installer reads the URL of a script that a shell is to run, or nothing.
func installer(to *string) func(string) error {
	return func(v string) error {
		*to = v
		if v == "" {
			return nil
		}
		u, err := url.Parse(v)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return errors.New("it is a URL such as https://example.com/install.sh, in printable ASCII")
		}
		return nil
	}
}

// onOff reads true or false.
func onOff(to *bool) func(string) error {
	return func(v string) (err error) {
		if *to, err = strconv.ParseBool(v); err != nil {
			err = errors.New("it is true or false")
		}
		return err
	}
}

// whole reads a whole number.
func whole(to *int, least int) func(string) error {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < least {
			return fmt.Errorf("it is a whole number from %d up", least)
		}
		*to = n
		return nil
	}
}

// duration reads a time, such as 10s.
func duration(to *time.Duration, least time.Duration) func(string) error {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < least {
			return fmt.Errorf("it is a time such as 10s or 500ms, at least %v", least)
		}
		*to = d
		return nil
	}
}

// never reads a time of at least so much, or 0s for never.
func never(to *time.Duration, least time.Duration) func(string) error {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d != 0 && d < least {
			return fmt.Errorf("it is a time such as 720h, at least %v, or 0s for never", least)
		}
		*to = d
		return nil
	}
}

// ParseSize reads bytes, for flags of other commands than serve.
func ParseSize(text string, least int64) (n int64, err error) {
	err = size(&n, least)(text)
	return n, err
}

// size reads bytes: a whole number with B, KiB, MiB, GiB or nothing behind it.
func size(to *int64, least int64) func(string) error {
	return func(v string) error {
		num, unit := v, int64(1)
		for _, u := range []struct {
			suffix string
			bytes  int64
		}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}} {
			if n, ok := strings.CutSuffix(v, u.suffix); ok {
				num, unit = n, u.bytes
				break
			}
		}
		n, err := strconv.ParseInt(num, 10, 64)
		if err != nil || n < 0 || n > (1<<62)/unit || n*unit < least {
			return fmt.Errorf("it is a size such as 256MiB, at least %d bytes", least)
		}
		*to = n * unit
		return nil
	}
}
