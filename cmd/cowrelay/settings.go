package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"cowrelay/cow/pebblelog"
	relayhttp "cowrelay/fasthttp"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// config is what serve runs with.
type config struct {
	bind      string
	admin     string
	adminTok  string
	adminFile string // that it is from, or ""
	dataDir   string
	sync      pebblelog.Sync
	budget    int64 // bytes
	requests  int64 // bytes of the budget; 0: as splitBudget has it
	limit     int64 // bytes of memory that the process may take
	reserve   int64 // bytes of disk
	maxSlots  int
	maxConns  int
	perAddr   int // connections; 0: half of maxConns
	maxStream int
	maxWait   int
	rates     relayhttp.RateLimits
	proxies   []netip.Prefix
	clientBy  []string // headers
	origins   []string
	pageBytes int
	heartbeat time.Duration
	header    time.Duration
	body      time.Duration
	write     time.Duration
	idle      time.Duration
	streamTO  time.Duration
	drain     time.Duration
	delay     time.Duration
	logLevel  slog.Level
	logFormat string
	accessLog bool
	mutexRate int // as runtime.SetMutexProfileFraction takes it
	blockRate int // as runtime.SetBlockProfileRate takes it

	settings []setting
}

// setting is one flag with its environment variable and its key of the
// configuration file. The manual's table, the help, the man page and default-config
// are made from these.
type setting struct {
	name, value, help string
	set               func(string) error
	live              bool // SIGHUP may change it
}

const live, fixed = true, false

func (s setting) env() string {
	return "COWRELAY_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

func (c *config) table() []setting {
	return []setting{
		{"bind", "127.0.0.1:8770", "address that clients connect to", address(&c.bind, false), fixed},
		{"admin", "127.0.0.1:9770", "address for operators: /metrics, /healthz and /readyz for everybody who reaches it, /admin/v1 and /debug/pprof on loopback or with a token; empty for none", address(&c.admin, true), fixed},
		{"admin-token-file", "", "file with a token, which /admin/v1 and /debug/pprof then ask for; COWRELAY_ADMIN_TOKEN holds the token itself; without either, and off loopback, they answer nobody", c.setAdminToken, fixed},
		{"data-dir", "cowrelay-data", "folder of the store; made if missing, used by one process at a time", text(&c.dataDir), fixed},
		{"sync", "always", "when a post is made durable: always (before it is acknowledged), interval (every 100 ms: a crash may lose what was acknowledged since), off (a crash may lose more)", func(v string) (err error) {
			c.sync, err = pebblelog.ParseSync(v)
			return err
		}, fixed},
		{"memory-budget", "", "memory for slots, store and requests that are arriving, such as 256MiB; default: 60 % of GOMEMLIMIT, else of the control group's limit, else of the machine's memory; at least 32MiB", c.setBudget, fixed},
		{"request-budget", "", "of --memory-budget, what requests may take while they arrive, such as 32MiB; beyond that they get 503, and one client has at most half; default: an eighth, and if that is less 16MiB or a quarter; at least 6MiB", c.setRequestBudget, fixed},
		{"disk-reserve", "128MiB", "free space below which posts get 507 and nothing is written", size(&c.reserve, 0), live},
		{"max-slots", "200000", "slots that may exist", whole(&c.maxSlots, 1), live},
		{"max-connections", "60000", "connections open at once, streams included", whole(&c.maxConns, 1), fixed},
		{"max-connections-per-address", "0", "connections of one client address (IPv4, or IPv6 /64) at once, those of trusted proxies excepted; 0: as many as nobody else wants", whole(&c.perAddr, 0), live},
		{"max-streams", "50000", "streams open at once, over all slots", whole(&c.maxStream, 1), live},
		{"max-long-polls", "4096", "long polls that wait at once", whole(&c.maxWait, 1), live},
		{"rate-limits", "allocate=10/50,post=1000/5000,read=1000/5000,stream=500/5000,other=200/1000,total=50000/100000", "requests a second / at once, beyond which a client address (IPv4, or IPv6 /64) gets 429, for each class of requests, and in total over all clients; 0: no limit; loopback is exempt", parsed(&c.rates, relayhttp.ParseRateLimits), live},
		{"trusted-proxies", "", "addresses and networks of the proxies that may say which client a request is from, such as 127.0.0.1,10.0.0.0/8", parsed(&c.proxies, relayhttp.ParseTrustedProxies), live},
		{"client-address-header", "X-Forwarded-For,CF-Connecting-IP,Fly-Client-IP", "headers in which they say it, of which the first that is there counts; better only the one that your proxy sets", parsed(&c.clientBy, relayhttp.ParseClientHeaders), live},
		{"cors-origins", "", "origins whose pages may use the relay from a browser, such as https://app.example, or *", parsed(&c.origins, relayhttp.ParseOrigins), live},
		{"page-bytes", "4MiB", "most bytes of a page of events, if it holds more than one", func(v string) error {
			var n int64
			err := size(&n, 1<<10)(v)
			c.pageBytes = int(n)
			return err
		}, fixed},
		{"heartbeat", "12s", "longest silence on a stream before a comment line (clients give up after 30s)", duration(&c.heartbeat, 500*time.Millisecond), fixed},
		{"header-timeout", "10s", "longest time from the first byte of a request to the end of its header", duration(&c.header, time.Millisecond), fixed},
		{"body-timeout", "30s", "longest time from there to the end of its body", duration(&c.body, time.Millisecond), fixed},
		{"write-timeout", "1m", "longest time to send a reply", duration(&c.write, time.Millisecond), fixed},
		{"idle-timeout", "75s", "longest time between two requests on a connection", duration(&c.idle, time.Millisecond), fixed},
		{"stream-write-timeout", "10s", "longest time that the client of a stream or a long reply may take for 64 KiB before it is cut", duration(&c.streamTO, time.Millisecond), fixed},
		{"drain-timeout", "8s", "longest time from SIGTERM to the closing of the store, which has 2 s more before the process ends in any case", duration(&c.drain, time.Millisecond), live},
		{"drain-delay", "300ms", "time between /readyz turning 503 and the closing of the listeners", duration(&c.delay, 0), live},
		{"log-level", "info", "debug, info, warn or error", func(v string) error { return c.logLevel.UnmarshalText([]byte(v)) }, live},
		{"log-format", "text", "text or json", func(v string) error {
			if v != "text" && v != "json" {
				return errors.New("it is text or json")
			}
			c.logFormat = v
			return nil
		}, fixed},
		{"access-log", "false", "log every request (never its token)", func(v string) (err error) {
			c.accessLog, err = strconv.ParseBool(v)
			if err != nil {
				err = errors.New("it is true or false")
			}
			return err
		}, live},
		{"mutex-profile-fraction", "0", "sample one in so many contended lock waits for /debug/pprof/mutex; 0: none, 1: all", whole(&c.mutexRate, 0), live},
		{"block-profile-rate", "0", "sample waits for /debug/pprof/block, one for each so many nanoseconds waited; 0: none, 1: all, 10000 costs little", whole(&c.blockRate, 0), live},
	}
}

// setBudget also finds how much memory the process may take.
func (c *config) setBudget(v string) error {
	// Without GOMEMLIMIT this is MaxInt64.
	if c.limit = debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") == "" || c.limit == 1<<63-1 {
		limit, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
		if err != nil && v == "" {
			return fmt.Errorf("cannot find the memory limit, so give it: %w", err)
		}
		if system, err := memlimit.FromSystem(); err == nil && (limit == 0 || system < limit) {
			limit = system
		}
		c.limit = int64(min(limit, 1<<62))
	}
	if v == "" {
		c.budget = max(c.limit/10*6, minBudget)
		return nil
	}
	return size(&c.budget, minBudget)(v)
}

const minBudget = 32 << 20

// minRequests lets a single client send one body of the greatest length.
const minRequests = 6 << 20

func (c *config) setRequestBudget(v string) error {
	if v == "" {
		return nil
	}
	return size(&c.requests, minRequests)(v)
}

// parsed is for what the package that uses the value reads itself.
func parsed[T any](to *T, parse func(string) (T, error)) func(string) error {
	return func(v string) (err error) {
		*to, err = parse(v)
		return err
	}
}

func text(to *string) func(string) error {
	return func(v string) error {
		if v == "" {
			return errors.New("it must not be empty")
		}
		*to = v
		return nil
	}
}

func address(to *string, optional bool) func(string) error {
	return func(v string) error {
		*to = v
		if v == "" && optional {
			return nil
		}
		if _, port, err := net.SplitHostPort(v); err != nil {
			return errors.New("it is host:port, such as 127.0.0.1:8770")
		} else if n, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("the port is a number from 0 to 65535, not %q", port)
		} else if n == 0 {
			return nil // the system chooses; the log tells
		}
		return nil
	}
}

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
