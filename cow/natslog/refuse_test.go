package natslog_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cow/natslog"
	"cowrelay/cow/natslog/natstest"
)

// refused opens a log and wants an error at once that has all of these words.
func refused(t *testing.T, o natslog.Options, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	l, err := natslog.Open(ctx, o)
	if err == nil {
		l.Close()
		t.Fatal("opened")
	}
	if ctx.Err() != nil {
		t.Fatalf("not at once: %v", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
}

func TestOpen_RefusesOptions(t *testing.T) {
	t.Parallel()
	ok := natslog.Options{URLs: []string{"nats://127.0.0.1:1"}, TrustSync: true}
	tests := []struct {
		name   string
		change func(*natslog.Options)
		word   string
	}{
		{"NoURL", func(o *natslog.Options) { o.URLs = nil }, "no URL"},
		{"Scheme", func(o *natslog.Options) { o.URLs = []string{"http://127.0.0.1:1"} }, "nats://"},
		{"Host", func(o *natslog.Options) { o.URLs = []string{"nats://:4222"} }, "no host"},
		{"Unreadable", func(o *natslog.Options) { o.URLs = []string{"nats://u:secret@h:x y"} }, "can't be read"},
		{"Stream", func(o *natslog.Options) { o.Stream = "a.b" }, "name of a stream"},
		{"Subject", func(o *natslog.Options) { o.Subject = "a.>" }, "subject"},
		{"Replicas", func(o *natslog.Options) { o.Replicas = 2 }, "one disk"},
		{"TooManyReplicas", func(o *natslog.Options) { o.Replicas = 7 }, "1 to 5"},
		{"NoMonitor", func(o *natslog.Options) { o.TrustSync = false }, "monitoring port"},
		{"FewMonitors", func(o *natslog.Options) { o.TrustSync, o.MonitorURLs = false, []string{"http://127.0.0.1:1"} }, "not enough"},
		{"LittleMemory", func(o *natslog.Options) { o.Memory = natslog.MinMemory - 1 }, "at least"},
		{"NoCreds", func(o *natslog.Options) { o.Creds = "/nowhere" }, "credentials"},
		{"NoKey", func(o *natslog.Options) { o.Cert = "/nowhere" }, "needs its key"},
		{"NoCert", func(o *natslog.Options) { o.Cert, o.Key = "/nowhere", "/nowhere" }, "can't be used"},
		{"NoCA", func(o *natslog.Options) { o.CA = "/nowhere" }, "certificates"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := ok
			test.change(&o)
			refused(t, o, test.word)
		})
	}
}

func TestOpen_RefusesStreams(t *testing.T) {
	t.Parallel()
	o := places(t)[0].o
	js := admin(t, o)
	tests := []struct {
		name   string
		change func(*jetstream.StreamConfig)
		word   string
	}{
		{"Subjects", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, c.Name+".x") }, "subjects"},
		{"Memory", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, "storage"},
		{"DiscardOld", func(c *jetstream.StreamConfig) { c.Discard, c.MaxBytes = jetstream.DiscardOld, 1<<20 }, "drops old"},
		{"Age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "max_age"},
		{"Delete", func(c *jetstream.StreamConfig) { c.DenyDelete = false }, "deny_delete"},
		{"Purge", func(c *jetstream.StreamConfig) { c.DenyPurge = true }, "deny_purge"},
		{"Rollup", func(c *jetstream.StreamConfig) { c.AllowRollup, c.DenyPurge = true, false }, "allow_rollup_hdrs"},
		{"TTL", func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }, "allow_msg_ttl"},
		{"Small", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 }, "max_msg_size"},
		{"Retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, "retention"},
		{"Foreign", func(c *jetstream.StreamConfig) { c.Metadata = nil }, "not made by a cowrelay"},
		{"Format", func(c *jetstream.StreamConfig) { c.Metadata["cowrelay_format"] = "2" }, "newer cowrelay"},
		{"ID", func(c *jetstream.StreamConfig) { c.Metadata["cowrelay_log"] = "zz" }, "not the ID"},
		{"Async", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }, "persist_mode"},
	}
	ctx := context.Background()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := o
			o.Stream = newStream()
			c := jetstream.StreamConfig{
				Name: o.Stream, Subjects: []string{o.Stream}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
				Replicas: 1, DenyDelete: true,
				Metadata: map[string]string{"cowrelay_log": strings.Repeat("ab", 16), "cowrelay_format": "1"},
			}
			test.change(&c)
			if _, err := js.CreateStream(ctx, c); err != nil {
				t.Fatal(err)
			}
			refused(t, o, test.word)
		})
	}
	t.Run("TakenSubject", func(t *testing.T) {
		o := o
		o.Stream = newStream()
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: newStream(), Subjects: []string{o.Stream}}); err != nil {
			t.Fatal(err)
		}
		refused(t, o, "subject", o.Stream)
	})
	t.Run("NotClustered", func(t *testing.T) {
		o := o
		o.Stream, o.Replicas, o.TrustSync = newStream(), 3, true
		refused(t, o, "cluster block")
	})
	t.Run("FewReplicas", func(t *testing.T) {
		o := places(t)[1].o
		o.Stream = newStream()
		few := o
		few.Replicas, few.FewReplicas = 1, true
		open(t, few)
		refused(t, o, "1 replicas, not 3")
	})
}

func TestOpen_RefusesServers(t *testing.T) {
	t.Parallel()
	good := oneServer(t)
	base := natslog.Options{URLs: []string{good.URL()}, MonitorURLs: []string{good.Monitor()}, Replicas: 1, FewReplicas: true}
	t.Run("SyncLater", func(t *testing.T) {
		s := natstest.One(t, natstest.Config{Sync: `"2m"`})
		o := base
		o.URLs, o.MonitorURLs, o.Stream = []string{s.URL()}, []string{s.Monitor()}, newStream()
		refused(t, o, "sync_interval: always", "n1")
		o.TrustSync = true
		open(t, o)
	})
	t.Run("SmallPayload", func(t *testing.T) {
		s := natstest.One(t, natstest.Config{Extra: "max_payload: 64KB"})
		o := base
		o.URLs, o.TrustSync, o.Stream = []string{s.URL()}, true, newStream()
		refused(t, o, "max_payload")
	})
	t.Run("SameMonitor", func(t *testing.T) {
		o := base
		o.MonitorURLs, o.Stream = []string{good.Monitor(), good.Monitor()}, newStream()
		refused(t, o, "one NATS server")
	})
	// A server that says what is wanted of it.
	says := func(t *testing.T, varz string) natslog.Options {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/varz" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			fmt.Fprint(w, varz)
		}))
		t.Cleanup(s.Close)
		o := base
		o.MonitorURLs, o.Stream = []string{good.Monitor(), s.URL}, newStream()
		return o
	}
	t.Run("OldPeer", func(t *testing.T) {
		refused(t, says(t, `{"server_name":"old","version":"2.14.9","max_payload":1048576,"jetstream":{"config":{"sync_always":true}}}`), "old", "2.14.9", "2.15")
	})
	t.Run("PeerWithoutJetStream", func(t *testing.T) {
		refused(t, says(t, `{"server_name":"plain","version":"2.15.0","max_payload":1048576,"jetstream":{}}`), "plain", "no JetStream")
	})
	t.Run("PeerPayload", func(t *testing.T) {
		refused(t, says(t, `{"server_name":"small","version":"3.0.1","max_payload":1000,"jetstream":{"config":{"sync_always":true}}}`), "small", "max_payload")
	})
	// A server that changes while relays run is said, and they go on.
	t.Run("Later", func(t *testing.T) {
		var sync atomic.Bool
		sync.Store(true)
		peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"server_name":"peer","version":"2.15.0","max_payload":1048576,"jetstream":{"config":{"sync_always":%v}}}`, sync.Load())
		}))
		t.Cleanup(peer.Close)
		o := base
		o.MonitorURLs, o.Stream, o.CheckEvery = []string{good.Monitor(), peer.URL}, newStream(), 50*time.Millisecond
		l := open(t, o)
		for _, fit := range []bool{true, false, true} {
			sync.Store(fit)
			await(t, 10*time.Second, fmt.Sprintf("fit is %v", fit), func() bool { return (l.Status().Unfit == "") == fit })
		}
		s := follow(t, l, 1)
		sendAll(t, l, 1, 5, 100)
		await(t, 10*time.Second, "all entries", func() bool { return s.count() == 5 })
	})
	// Less than half of the servers may be silent, and no more.
	t.Run("Silent", func(t *testing.T) {
		c := threeServers(t)
		o := natslog.Options{URLs: c.URLs(), MonitorURLs: c.Monitors(), Stream: newStream()}
		o.MonitorURLs[0] = "http://127.0.0.1:9"
		open(t, o)
		o.MonitorURLs[1] = "http://127.0.0.1:9"
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		reasons := make(chan error, 10)
		o.Waiting = func(err error) { reasons <- err }
		if _, err := natslog.Open(ctx, o); err == nil {
			t.Fatal("opened")
		}
		if err := <-reasons; !strings.Contains(err.Error(), "monitoring port") {
			t.Fatal(err)
		}
	})
}

// Open waits for servers, says why, and can be stopped.
func TestOpen_Waits(t *testing.T) {
	t.Parallel()
	s := natstest.One(t, natstest.Config{})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	o := natslog.Options{URLs: []string{s.URL()}, MonitorURLs: []string{s.Monitor()}, Replicas: 1, FewReplicas: true}
	reasons := make(chan error, 10)
	o.Waiting = func(err error) { reasons <- err }
	ctx, cancel := context.WithCancel(context.Background())
	type result struct {
		l   *natslog.Log
		err error
	}
	results := make(chan result)
	start := func() {
		l, err := natslog.Open(ctx, o)
		results <- result{l, err}
	}
	go start()
	if err := <-reasons; !strings.Contains(err.Error(), s.Addr()) {
		t.Fatal(err)
	}
	cancel()
	if r := <-results; r.err == nil || !strings.Contains(r.err.Error(), "context canceled") {
		t.Fatal(r.err)
	}
	ctx = context.Background()
	go start()
	<-reasons
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	r := <-results
	if r.err != nil {
		t.Fatal(r.err)
	}
	r.l.Close()
}

// An nkey of nobody.
const (
	nkeySeed   = "SUAEQRPG5GSDLIEQ7MWGDZV3SGM3SRUDSLYWH5S4ITQGHVI42MYBCJTF2M"
	nkeyPublic = "UARRD7M6QYXHV6RZ7WRYW4UQKJ5FO2BYFCNYP53JCQT5VFUEAZSKNHPL"
)

// Nothing that authenticates is logged or in an error.
func TestOpen_Authenticates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	s := natstest.One(t, natstest.Config{Extra: fmt.Sprintf(`
tls { cert_file: %q, key_file: %q }
accounts {
	RELAYS { jetstream: enabled, users: [ { user: relay, password: "pa55word" }, { nkey: %q } ] }
	OTHERS { users: [ { user: other, password: "0therword" } ] }
}`, cert, key, nkeyPublic)})
	var log bytes.Buffer
	o := natslog.Options{
		MonitorURLs: []string{s.Monitor()}, Replicas: 1, FewReplicas: true, CA: cert,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	with := func(user string) natslog.Options {
		o := o
		o.URLs = []string{strings.Replace(s.URL(), "nats://", "tls://"+user+"@", 1)}
		return o
	}
	check := func(text string) {
		t.Helper()
		for _, secret := range []string{"pa55word", "wr0ngword", "0therword"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in: %s", secret, text)
			}
		}
	}
	fails := func(o natslog.Options, word string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		l, err := natslog.Open(ctx, o)
		if err == nil {
			l.Close()
			t.Fatal("opened")
		}
		check(err.Error())
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	open(t, with("relay:pa55word"))
	file := filepath.Join(dir, "creds")
	creds := func(text string) natslog.Options {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := o
		o.URLs, o.Creds = []string{strings.Replace(s.URL(), "nats://", "tls://", 1)}, file
		return o
	}
	open(t, creds("relay:pa55word\n"))
	open(t, creds(nkeySeed))
	fails(creds("relay:wr0ngword"), "uthorization")
	fails(creds("pa55word"), "neither")
	fails(creds("pa55word\nrelay:pa55word"), "neither")
	fails(with("relay:wr0ngword"), "uthorization")
	fails(with("other:0therword"), "jetstream: enabled")
	no := with("relay:pa55word")
	no.CA = ""
	fails(no, "certificate")
	no = with("relay:pa55word")
	no.URLs = append(no.URLs, "nats://relay:pa55word@[::1")
	fails(no, "can't be read")
	check(log.String())
	if got := natslog.Redact([]string{"nats://relay:pa55word@host:4222", "t0ken@other:4222", "nats://[::1"}); got != "nats://xxxxx@host:4222,nats://xxxxx@other:4222,(unreadable)" {
		t.Error(got)
	}
}

// certificate makes one for loopback that signs itself.
func certificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
