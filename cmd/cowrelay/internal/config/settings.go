package config

import (
	"errors"
	"strconv"
	"time"

	"cowrelay/cmd/cowrelay/internal/otlp"
	"cowrelay/cow/filelog"
	relayhttp "cowrelay/fasthttp"
	"cowrelay/fasthttp/coding"
	"cowrelay/fasthttp/limit"
)

// Settings returns all settings with their defaults, in the order in which they
// are listed everywhere.
func Settings() []Setting { return new(Config).table() }

// table returns the settings with their defaults; their Set fills c.
func (c *Config) table() []Setting {
	return []Setting{
		{"bind", "127.0.0.1:8770", "addresses that clients connect to, such as 127.0.0.1:8770,https://[::]:443 (with a certificate, one without a scheme speaks TLS too); empty for none, beside --uds", aList, c.setBinds, fixed},
		{"tls-cert", "", "file with the certificate (PEM, with those between it and the root) for clients that speak TLS; read again when it changes", aFile, func(v string) error { c.TLSCert = v; return nil }, fixed},
		{"tls-key", "", "file with its key (PEM)", aFile, func(v string) error { c.TLSKey = v; return nil }, fixed},
		{"acme-domain", "", "names of this relay, such as relay.example.com, for which certificates are got by ACME; whoever gives one agrees to the authority's terms; the authority must reach a TLS address of the relay on port 443", aList, parsed(&c.ACMEDomains, domains), fixed},
		{"acme-email", "", "where the authority may write to about them", aText, func(v string) error { c.ACMEEmail = v; return nil }, fixed},
		{"acme-directory", "https://acme-v02.api.letsencrypt.org/directory", "URL of the authority", aText, directory(&c.ACMEDirectory), fixed},
		{"acme-cache", "", "folder of their keys; default: acme in the data folder", aFolder, func(v string) error { c.ACMECache = v; return nil }, fixed},
		{"proxy-protocol", "false", "connections of --trusted-proxies begin with a header of the PROXY protocol (version 1 or 2), which tells the client's address", aSwitch, onOff(&c.ProxyProtocol), fixed},
		{"uds", "", "path of a Unix socket that clients of the same user connect to, in a folder that nobody else can reach (made if missing); it serves what --local-only does, and closes after each reply", aFile, func(v string) error { c.UDS = v; return nil }, fixed},
		{"local-only", "false", "serve only what agents on this machine need: mailboxes, pairing, claims and introductions, but no directory, invites, pages and statistics; --bind must be a loopback address then", aSwitch, onOff(&c.LocalOnly), fixed},
		{"admin", "127.0.0.1:9770", "address for operators: /metrics, /healthz and /readyz for everybody who reaches it, /admin/v1 and /debug/pprof on loopback or with a token; empty for none", aText, address(&c.Admin), fixed},
		{"admin-token-file", "", "file with a token, which /admin/v1 and /debug/pprof then ask for; COWRELAY_ADMIN_TOKEN holds the token itself; without either, and off loopback, they answer nobody", aFile, c.setAdminToken, fixed},
		{"data-dir", "cowrelay-data", "folder of the store; made if missing, used by one process at a time", aFolder, text(&c.DataDir), fixed},
		{"sync", "always", "when a post is made durable: always (before it is acknowledged), interval (every 100 ms: a crash of the machine may lose what was acknowledged since), off (it may lose more)", oneOf("always", "interval", "off"), func(v string) (err error) {
			if c.Sync, err = filelog.ParseSync(v); err != nil {
				return errors.New("it is always, interval or off")
			}
			return nil
		}, fixed},
		{"journal", "file", "where the log of all that is stored is: file (in the data folder, of this relay alone), jetstream (on NATS servers, shared by a fleet of relays)", oneOf("file", JetStream), c.setJournal, fixed},
		{"nats-url", "", "of --journal jetstream: URLs of the NATS servers, such as nats://10.0.0.1:4222,nats://10.0.0.2:4222; tls:// for TLS", aList, parsed(&c.NATS.URLs, parseServers), fixed},
		{"nats-creds", "", "file with the credentials for the NATS servers, as nsc writes it; empty: none", aFile, func(v string) error { c.NATS.Creds = v; return nil }, fixed},
		{"nats-ca", "", "file with the certificates, in PEM, that sign those of the NATS servers; empty: those that the machine trusts", aFile, func(v string) error { c.NATS.CA = v; return nil }, fixed},
		{"nats-cert", "", "file with the certificate of this relay, in PEM, for NATS servers that ask for one; read again for each connection; empty: none", aFile, func(v string) error { c.NATS.Cert = v; return nil }, fixed},
		{"nats-key", "", "file with the key of --nats-cert, in PEM", aFile, func(v string) error { c.NATS.Key = v; return nil }, fixed},
		{"nats-stream", "COWRELAY", "name of the stream that is the log; made if missing", aText, stream(&c.NATS.Stream), fixed},
		{"nats-replicas", "3", "servers that keep the log, each a copy: 3 or 5; 1 for a trial, which loses what that server loses", aNumber, replicas(&c.NATS.Replicas), fixed},
		{"nats-monitor", "", "URLs of the monitoring ports of all NATS servers, such as http://10.0.0.1:8222, where the relay asks whether they sync what they acknowledge", aList, parsed(&c.NATS.Monitor, parseMonitors), fixed},
		{"trust-nats-sync", "false", "believe that the NATS servers sync what they acknowledge (sync_interval: always), and don't ask them", aSwitch, onOff(&c.NATS.TrustSync), fixed},
		{"nats-keep", "72h", "how long an entry stays in the log at least; then it goes when two relays have it on their disks", aTime, duration(&c.NATS.Keep, time.Second), fixed},
		{"relay-name", "", "what this relay is called among those that share its log; default: the name of the machine", aText, c.setRelayName, fixed},
		{"memory-budget", "", "memory for slots, store and requests that are arriving, such as 256MiB; default: 60 % of GOMEMLIMIT; else of what connections, page cache and a reserve leave of the control group's limit or the machine's memory; at least 32MiB", aSize, c.setBudget, fixed},
		{"request-budget", "", "of --memory-budget, what requests may take while they arrive, such as 32MiB; beyond that they get 503, and one client has at most half; default: an eighth, and if that is less 16MiB or a quarter; at least 6MiB", aSize, c.setRequestBudget, fixed},
		{"disk-reserve", "128MiB", "free space below which posts get 507 and nothing is written", aSize, size(&c.DiskReserve, 0), live},
		{"max-slots", "200000", "slots that may exist", aNumber, whole(&c.MaxSlots, 1), live},
		{"unused-slot-ttl", "720h", "how long a slot stays that nobody has ever posted to, pulled or streamed; 0s: for ever; at least 1h", aTime, never(&c.UnusedSlotTTL, time.Hour), fixed},
		{"slot-idle-ttl", "0s", "how long a slot stays when nobody posts to it, pulls or streams any more, then it goes with its events, tokens and handles; 0s: for ever; at least 1h", aTime, never(&c.SlotIdleTTL, time.Hour), fixed},
		{"event-ttl", "0s", "how long an event stays in its slot, up to an eighth longer; 0s: for ever; at least 8s", aTime, never(&c.EventTTL, 8*time.Second), fixed},
		{"ephemeral-ttl", "0s", "how long an event of an ephemeral kind (100, 20000 to 29999) stays at the front of its slot, up to an eighth longer and over a restart once more; behind an event of another kind it stays until that has left; 0s: as long as others; 8s to 24h, and less than --event-ttl", aTime, c.setEphemeralTTL, fixed},
		{"event-keep", "0", "what a slot keeps of its newest events, up to a sixteenth more: a number of events, such as 10000, or bytes with a unit, such as 16MiB; 0: all", aSize, c.setEventKeep, fixed},
		{"max-handles", "100000", "handles that may be claimed; one client address may have a quarter of them, loopback is exempt", aNumber, whole(&c.MaxHandles, 1), fixed},
		{"max-invites", "50000", "invites that may be live at once; one client address may have a quarter of them, loopback is exempt", aNumber, whole(&c.MaxInvites, 1), fixed},
		{"invite-installer-url", "", "URL of a shell script that installs the client, such as https://example.com/install.sh; where the client is missing, the script of an invite runs it; empty: it only says that the client is missing", aText, installer(&c.InviteInstaller), fixed},
		{"max-pairs", "50000", "pairs that may be open at once; one client address may have a quarter of them, loopback is exempt", aNumber, whole(&c.MaxPairs, 1), fixed},
		{"handle-move-after", "24h", "how long nobody must have read a handle's slot before the handle may move to another slot: an agent's card is public, so anybody can send it again", aTime, duration(&c.HandleMoveAfter, 0), fixed},
		{"max-connections", "60000", "connections open at once, streams included", aNumber, whole(&c.MaxConns, 1), fixed},
		{"max-connections-per-address", "0", "connections of one client address (IPv4, or IPv6 /64) at once, those of trusted proxies excepted; 0: as many as nobody else wants", aNumber, whole(&c.MaxConnsPerAddress, 0), live},
		{"max-streams", "50000", "streams open at once, over all slots", aNumber, whole(&c.MaxStreams, 1), live},
		{"max-long-polls", "4096", "long polls that wait at once", aNumber, whole(&c.MaxLongPolls, 1), live},
		{"rate-limits", "allocate=10/50,post=1000/5000,read=1000/5000,stream=500/5000,meet=10/50,other=200/1000,handshake=500/5000,total=50000/100000", "requests a second / at once, beyond which a client address (IPv4, or IPv6 /64) gets 429, for each class of requests, and in total over all clients; beyond handshake its connections are closed; 0: no limit; loopback is exempt", aList, parsed(&c.RateLimits, limit.ParseRates), live},
		{"trusted-proxies", "", "addresses and networks of the proxies that may say which client a request is from, such as 127.0.0.1,10.0.0.0/8", aList, parsed(&c.TrustedProxies, limit.ParseProxies), live},
		{"client-address-header", "X-Forwarded-For,CF-Connecting-IP,Fly-Client-IP", "headers in which they say it, of which the first that is there counts; better only the one that your proxy sets", aList, parsed(&c.ClientHeaders, limit.ParseHeaders), live},
		{"cors-origins", "", "origins whose pages may use the relay from a browser, such as https://app.example, or *", aList, parsed(&c.CORSOrigins, relayhttp.ParseOrigins), live},
		{"compression", "gzip,zstd", "codings that pages of events are compressed with for clients that ask for one by Accept-Encoding: gzip, zstd, or both; off: none", aList, parsed(&c.Compression, coding.ParseSet), live},
		{"page-bytes", "4MiB", "most bytes of a page of events, if it holds more than one", aSize, func(v string) error {
			var n int64
			err := size(&n, 1<<10)(v)
			c.PageBytes = int(n)
			return err
		}, fixed},
		{"heartbeat", "12s", "longest silence on a stream before a comment line (clients give up after 30s)", aTime, duration(&c.Heartbeat, 500*time.Millisecond), fixed},
		{"commit-wait", "", "longest time that a commit of a few posts is held back when more are coming, such as 1ms, so that they share one sync; 0s: never; default: 1ms where the process may use one CPU or less, else 0s", aTime, c.setCommitWait, fixed},
		{"header-timeout", "10s", "longest time from the first byte of a request to the end of its header", aTime, duration(&c.HeaderTimeout, time.Millisecond), fixed},
		{"body-timeout", "30s", "longest time from there to the end of its body", aTime, duration(&c.BodyTimeout, time.Millisecond), fixed},
		{"write-timeout", "1m", "longest time to send a reply", aTime, duration(&c.WriteTimeout, time.Millisecond), fixed},
		{"idle-timeout", "75s", "longest time between two requests on a connection", aTime, duration(&c.IdleTimeout, time.Millisecond), fixed},
		{"stream-write-timeout", "10s", "longest time that the client of a stream or a long reply may take for 64 KiB before it is cut", aTime, duration(&c.StreamWriteTimeout, time.Millisecond), fixed},
		{"drain-timeout", "8s", "longest time from SIGTERM to the closing of the store, which has 2 s more before the process ends in any case", aTime, duration(&c.DrainTimeout, time.Millisecond), live},
		{"drain-delay", "300ms", "time between /readyz turning 503 and the closing of the listeners", aTime, duration(&c.DrainDelay, 0), live},
		{"log-level", "info", "debug, info, warn or error", oneOf("debug", "info", "warn", "error"), func(v string) error {
			if c.LogLevel.UnmarshalText([]byte(v)) != nil {
				return errors.New("it is debug, info, warn or error")
			}
			return nil
		}, live},
		{"log-format", "text", "text or json", oneOf("text", "json"), func(v string) error {
			if v != "text" && v != "json" {
				return errors.New("it is text or json")
			}
			c.LogFormat = v
			return nil
		}, fixed},
		{"access-log", "false", "log every request (never its token)", aSwitch, onOff(&c.AccessLog), live},
		{"access-log-file", "", "of --access-log, the file that requests are logged to, made if missing, opened again at SIGHUP; empty: the log", aFile, func(v string) error { c.AccessLogFile = v; return nil }, fixed},
		{"access-log-sample", "1", "of --access-log, log one request of so many, and all that fail with 500 or more; 1: every one", aNumber, whole(&c.AccessSample, 1), live},
		{"otlp-endpoint", "", "URL of a collector that traces of requests go to by OTLP over HTTP, such as http://127.0.0.1:4318; OTEL_EXPORTER_OTLP_HEADERS holds what it asks for; empty: nothing is traced", aText, parsed(&c.OTLPEndpoint, otlp.ParseEndpoint), fixed},
		{"trace-sample", "0.01", "of --otlp-endpoint, the part of requests that is traced, from 0 to 1, where a request's traceparent does not decide", form{file: "a part of all, such as 0.01", also: "part"}, parsed(&c.TraceSample, otlp.ParseRatio), fixed},
		{"mutex-profile-fraction", "0", "sample one in so many contended lock waits for /debug/pprof/mutex; 0: none, 1: all", aNumber, whole(&c.MutexRate, 0), live},
		{"block-profile-rate", "0", "sample waits for /debug/pprof/block, one for each so many nanoseconds waited; 0: none, 1: all, 10000 costs little", aNumber, whole(&c.BlockRate, 0), live},
	}
}

// maxEphemeralTTL is short, as a restart begins it again.
const maxEphemeralTTL = 24 * time.Hour

func (c *Config) setEphemeralTTL(v string) error {
	if err := never(&c.EphemeralTTL, 8*time.Second)(v); err != nil {
		return err
	}
	if c.EphemeralTTL > maxEphemeralTTL {
		return errors.New("it is at most 24h: for longer there is --event-ttl, which all events have")
	}
	return nil
}

// setEventKeep reads a number of events, or bytes with a unit.
func (c *Config) setEventKeep(v string) error {
	c.EventKeep, c.EventKeepBytes = 0, 0
	if n, err := strconv.ParseUint(v, 10, 62); err == nil {
		c.EventKeep = n
		return nil
	}
	n, err := ParseSize(v, 1)
	if err != nil {
		return errors.New("it is a number of events such as 10000, or a size with a unit such as 16MiB")
	}
	c.EventKeepBytes = uint64(n)
	return nil
}

// setAdminToken reads the token of the file, or of the environment for "".
func (c *Config) setAdminToken(path string) (err error) {
	c.AdminTokenFile = path
	c.AdminToken, err = ReadAdminToken(path)
	return err
}
