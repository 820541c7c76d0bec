package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"cowrelay/cow/filelog"
)

// JetStream is the value of --journal for a log that relays share.
const JetStream = "jetstream"

// NATS is where a shared log is.
type NATS struct {
	URLs      []string // of the servers
	Creds     string   // file; "": none
	CA        string   // file; "": what the machine trusts
	Cert, Key string   // files; "": none
	Stream    string
	Replicas  int
	Monitor   []string // URLs of monitoring ports
	TrustSync bool     // don't ask the servers how they sync
	Keep      time.Duration
}

// Shared says whether the log is one that relays share.
func (c *Config) Shared() bool { return c.Journal == JetStream }

func (c *Config) setJournal(v string) error {
	if v != "file" && v != JetStream {
		return errors.New("it is file or " + JetStream)
	}
	c.Journal = v
	return nil
}

// wrongJournal is what of the settings does not fit to the journal.
func (c *Config) wrongJournal() (wrong []error) {
	if !c.Shared() {
		for i, was := range Settings() {
			s := c.settings[i]
			// A file of all keys has these with their defaults.
			if of := strings.HasPrefix(s.Name, "nats-") || s.Name == "trust-nats-sync" || s.Name == "relay-name"; of && s.Value != was.Value {
				wrong = append(wrong, fmt.Errorf("--%s (%s): it is for --journal %s, and the journal is a file", s.Name, c.origins[i], JetStream))
			}
		}
		return wrong
	}
	if len(c.NATS.URLs) == 0 {
		wrong = append(wrong, fmt.Errorf("--journal %s (%s): give the servers with --nats-url", JetStream, c.origin("journal")))
	}
	switch {
	case c.NATS.Cert != "" && c.NATS.Key == "":
		wrong = append(wrong, fmt.Errorf("--nats-cert (%s): give its key with --nats-key", c.origin("nats-cert")))
	case c.NATS.Cert == "" && c.NATS.Key != "":
		wrong = append(wrong, fmt.Errorf("--nats-key (%s): give its certificate with --nats-cert", c.origin("nats-key")))
	}
	switch {
	case len(c.NATS.Monitor) == 0 && !c.NATS.TrustSync:
		wrong = append(wrong, fmt.Errorf("--journal %s (%s): whether the servers sync what they acknowledge has to be known: give --nats-monitor, or --trust-nats-sync if you have set sync_interval: always", JetStream, c.origin("journal")))
	case len(c.NATS.Monitor) < c.NATS.Replicas && !c.NATS.TrustSync:
		wrong = append(wrong, fmt.Errorf("--nats-monitor (%s): %d URLs, and the log is kept by %d servers (--nats-replicas): each of them is asked", c.origin("nats-monitor"), len(c.NATS.Monitor), c.NATS.Replicas))
	case len(c.NATS.Monitor) > 0 && c.NATS.TrustSync:
		wrong = append(wrong, fmt.Errorf("--nats-monitor (%s) and --trust-nats-sync (%s): one says to ask the servers, the other not to", c.origin("nats-monitor"), c.origin("trust-nats-sync")))
	}
	return wrong
}

// Idle says which settings were given and do nothing with this journal.
func (c *Config) Idle() (list []string) {
	if c.Shared() && c.Sync != filelog.Always {
		list = append(list, fmt.Sprintf("--sync (%s): it is for --journal file; the NATS servers say when they sync (sync_interval)", c.origin("sync")))
	}
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		list = append(list, fmt.Sprintf("--proxy-protocol (%s): no proxy is trusted; name it in --trusted-proxies", c.origin("proxy-protocol")))
	}
	if c.AccessLogFile != "" && !c.AccessLog {
		list = append(list, fmt.Sprintf("--access-log-file (%s): nothing is logged to it without --access-log", c.origin("access-log-file")))
	}
	return list
}

// parseServers reads URLs of NATS servers.
func parseServers(v string) ([]string, error) {
	return urls(v, []string{"nats", "tls", "ws", "wss"}, "nats://10.0.0.1:4222")
}

// parseMonitors reads URLs of monitoring ports.
func parseMonitors(v string) ([]string, error) {
	return urls(v, []string{"http", "https"}, "http://10.0.0.1:8222")
}

// urls reads a list of URLs of some schemes. They may hold a user and a password.
func urls(v string, schemes []string, such string) (list []string, err error) {
	for text := range strings.SplitSeq(v, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || u.RawQuery != "" || u.Fragment != "":
			return nil, fmt.Errorf("it is a list of URLs such as %s", such)
		case slices.Contains(list, text):
			return nil, errors.New("a URL stands there twice")
		}
		list = append(list, text)
	}
	return list, nil
}

// hidden is a list of URLs without the users and passwords in them.
func hidden(v string) string {
	list := strings.Split(v, ",")
	for i, text := range list {
		at := strings.LastIndexByte(text, '@')
		if at < 0 {
			continue
		}
		scheme := ""
		if n := strings.Index(text[:at], "://"); n >= 0 {
			scheme = text[:n+3]
		}
		list[i] = scheme + "***" + text[at:]
	}
	return strings.Join(list, ",")
}

// stream reads the name of a stream.
func stream(to *string) func(string) error {
	return func(v string) error {
		if v == "" || v[0] == '-' || len(v) > 64 || strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			return errors.New("it is 1 to 64 letters, digits, dashes and underscores, the first no dash")
		}
		*to = v
		return nil
	}
}

// replicas reads how many servers keep the log.
func replicas(to *int) func(string) error {
	return func(v string) error {
		if err := whole(to, 1)(v); err != nil || *to != 1 && *to != 3 && *to != 5 {
			return errors.New("it is 1, 3 or 5")
		}
		return nil
	}
}
