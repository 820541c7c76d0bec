package natslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Refusal is an error of Open: a server or the stream does not promise what relays
// promise to their clients. Its text says what to set.
type Refusal struct{ text string }

func (r *Refusal) Error() string { return "natslog: " + r.text }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// The oldest server that does: older ones don't sync each entry of a replicated log.
const oldestMajor, oldestMinor = 2, 15

// checkVersion refuses servers that are too old.
func checkVersion(server, version string) error {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) >= 2 {
		major, err1 := strconv.Atoi(parts[0])
		minor, err2 := strconv.Atoi(parts[1])
		if err1 == nil && err2 == nil {
			if major > oldestMajor || major == oldestMajor && minor >= oldestMinor {
				return nil
			}
			return refuse("the NATS server %s has version %s: %d.%d or newer is needed, older ones do not sync each entry of a replicated stream", server, version, oldestMajor, oldestMinor)
		}
	}
	return refuse("the NATS server %s has the unknown version %q", server, version)
}

func checkPayload(server string, limit int64) error {
	if limit < MaxEntry {
		return refuse("the NATS server %s takes messages of %d bytes: set max_payload to 1MB (%d are needed)", server, limit, MaxEntry)
	}
	return nil
}

// checkServer checks the server at the other end of the connection.
func checkServer(nc *nats.Conn) error {
	name := nc.ConnectedServerName()
	if name == "" {
		return errors.New("natslog: not connected to NATS")
	}
	if err := checkVersion(name, nc.ConnectedServerVersion()); err != nil {
		return err
	}
	return checkPayload(name, nc.MaxPayload())
}

// varz is what a server says of itself at its monitoring port.
type varz struct {
	Name       string `json:"server_name"`
	Version    string `json:"version"`
	MaxPayload int64  `json:"max_payload"`
	JetStream  struct {
		Config *struct {
			SyncAlways   bool          `json:"sync_always"`
			SyncInterval time.Duration `json:"sync_interval"`
		} `json:"config"`
	} `json:"jetstream"`
}

// check says what the server lacks.
func (v *varz) check() error {
	if err := checkVersion(v.Name, v.Version); err != nil {
		return err
	}
	if err := checkPayload(v.Name, v.MaxPayload); err != nil {
		return err
	}
	switch c := v.JetStream.Config; {
	case c == nil:
		return refuse("the NATS server %s has no JetStream: add a jetstream block to its configuration", v.Name)
	case !c.SyncAlways:
		return refuse("the NATS server %s syncs every %v, so it loses what it acknowledged before: set sync_interval: always in its jetstream block", v.Name, c.SyncInterval)
	}
	return nil
}

const (
	monitorTimeout = 2 * time.Second
	maxVarz        = 1 << 20
)

// recheck asks the servers again. One that broke the promise since is said loudly, once.
// The relay goes on: two others still hold what it sends.
func (l *Log) recheck() {
	err := l.checkMonitors()
	text := ""
	var r *Refusal
	if errors.As(err, &r) {
		text = err.Error()
	}
	l.mu.Lock()
	said := l.unfit
	l.unfit = text
	l.mu.Unlock()
	if text != "" && text != said {
		l.noteError(err)
		l.o.Logger.Error("a NATS server does not promise any more what relays promise", "error", err)
	}
}

// checkMonitors asks the servers at their monitoring ports. All that answer have to be
// right, and more than half have to answer: the rest may be down for the moment.
func (l *Log) checkMonitors() error {
	if l.o.TrustSync {
		return nil
	}
	client, err := l.monitorClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	type answer struct {
		url  string
		varz varz
		err  error
	}
	answers := make(chan answer, len(l.o.MonitorURLs))
	for _, text := range l.o.MonitorURLs {
		go func() {
			a := answer{url: Redact([]string{text})}
			a.err = askVarz(l.ctx, client, text, &a.varz)
			answers <- a
		}()
	}
	names := make(map[string]string)
	var wrong, silent error
	for range l.o.MonitorURLs {
		a := <-answers
		var r *Refusal
		switch {
		case errors.As(a.err, &r):
			wrong = a.err
		case a.err != nil:
			silent = fmt.Errorf("natslog: the monitoring port of a NATS server at %s does not answer: %w", a.url, a.err)
		case names[a.varz.Name] != "":
			wrong = refuse("%s and %s are the monitoring port of one NATS server, %s: give one URL for each server", names[a.varz.Name], a.url, a.varz.Name)
		default:
			names[a.varz.Name] = a.url
			if err := a.varz.check(); err != nil {
				wrong = err
			}
		}
	}
	if wrong != nil {
		return wrong
	}
	if 2*len(names) <= len(l.o.MonitorURLs) {
		return silent
	}
	if silent != nil && l.noteError(silent) {
		l.o.Logger.Warn("a NATS server could not be asked whether it syncs before it acknowledges", "error", silent)
	}
	return nil
}

// askVarz asks one server.
func askVarz(ctx context.Context, client *http.Client, text string, v *varz) error {
	u, err := parseURL(text, "http", "https")
	if err != nil {
		return refuse("%s", strings.TrimPrefix(err.Error(), "natslog: "))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("varz").String(), nil)
	if err != nil {
		return errors.New("the URL can't be used")
	}
	resp, err := client.Do(req)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			return inner // without the URL
		}
		return errors.New("no answer")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxVarz)).Decode(v); err != nil || v.Version == "" {
		return errors.New("what answers there is not a NATS server's monitoring port")
	}
	return nil
}

// monitorClient trusts the same certificates as the log's connection, and shows the same.
func (l *Log) monitorClient() (*http.Client, error) {
	config := new(tls.Config)
	if l.o.Cert != "" {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return l.o.certificate() }
	}
	if l.o.CA != "" {
		text, err := os.ReadFile(l.o.CA)
		if err != nil {
			return nil, fmt.Errorf("natslog: the file with certificates can't be read: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("natslog: %s has no certificate in PEM", l.o.CA)
		}
		config.RootCAs = pool
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: monitorTimeout}, nil
}
