package natslog

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"
)

const (
	// DefaultStream is the name of the stream, and of its subject.
	DefaultStream = "COWRELAY"
	// DefaultReplicas is on how many servers the stream is kept.
	DefaultReplicas = 3
	// MaxEntry is how long an entry may be, in bytes: what servers allow without a
	// setting of their own, less room for what a later format may need beside it.
	MaxEntry = 1<<20 - 4096
)

// maxInFlight bounds in entries what was sent and not answered.
const maxInFlight = 1024

// DefaultMemory is that of Options.Memory, and MinMemory the least of it, in bytes: an
// entry in each of its halves, with room for what the library counts with it.
const (
	DefaultMemory = 64 << 20
	MinMemory     = 3 << 20
)

// Options of Open.
type Options struct {
	// URLs of servers: nats://host:port, tls://host:port, also with user and password
	// in them. At least one. The others of the cluster are learned from it.
	URLs []string
	// Creds is a file with credentials: the JWT and seed of a user, or the seed of an
	// nkey alone, or one line user:password. "" for none.
	Creds string
	// CA is a file with the certificates of those who may sign for a server. "": those
	// of the system.
	CA string
	// Cert and Key are files with the certificate of this relay and its key, in PEM, for
	// servers that ask for one. Both are read again for each connection. "" for none.
	Cert, Key string
	// Stream is the stream's name. Default DefaultStream.
	Stream string
	// Subject is the stream's one subject. Default: the name of the stream.
	Subject string
	// Replicas is on how many servers the stream is kept. Default 3. Fewer are refused
	// without FewReplicas.
	Replicas int
	// FewReplicas allows fewer than 3 replicas, for tests and trials: what was
	// acknowledged is lost with one disk.
	FewReplicas bool
	// Expect is the log's ID if it is known: then a log that is not there is not made,
	// and another one is refused.
	Expect [16]byte
	// MonitorURLs are the monitoring ports of the servers, http://host:8222. They are
	// asked whether the server keeps the promise. One for each replica.
	MonitorURLs []string
	// TrustSync says that the servers keep the promise: nobody is asked.
	TrustSync bool
	// Memory bounds in bytes what entries may take here. One half is for what was sent and
	// not answered: what is beyond it is refused. The other is for what has come and was
	// not yielded: what is beyond it is dropped, and fetched when there is room. Default
	// DefaultMemory, at least MinMemory.
	Memory int64
	// Name and Version of this relay. Operators see them at the server.
	Name, Version string
	// Waiting is called while Open waits for a server, with the reason, each time it
	// is another one. May be nil.
	Waiting func(reason error)
	// Logger gets what an operator should know. Default slog.Default().
	Logger *slog.Logger
	// CheckEvery is how often the monitoring ports are asked again: a server may come
	// back with another configuration. Default 1 min.
	CheckEvery time.Duration
	// Confirm is how long a sign of loss must stay before it is believed. Servers that
	// start give such signs for a moment. Default 10 s.
	Confirm time.Duration
}

// streamName is what servers allow and people can type.
var streamName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// subjectName has no wildcards and no empty parts.
var subjectName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// complete sets defaults and says what is wrong.
func (o *Options) complete() error {
	if o.Stream == "" {
		o.Stream = DefaultStream
	}
	if o.Subject == "" {
		o.Subject = o.Stream
	}
	if o.Replicas == 0 {
		o.Replicas = DefaultReplicas
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Name == "" {
		o.Name, _ = os.Hostname()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Waiting == nil {
		o.Waiting = func(error) {}
	}
	if o.CheckEvery == 0 {
		o.CheckEvery = time.Minute
	}
	if o.Confirm == 0 {
		o.Confirm = 10 * time.Second
	}
	switch {
	case (o.Cert == "") != (o.Key == ""):
		return errors.New("natslog: a certificate needs its key, and a key its certificate")
	case o.Memory < MinMemory:
		return fmt.Errorf("natslog: %d bytes of memory: it takes at least %d", o.Memory, MinMemory)
	case len(o.URLs) == 0:
		return errors.New("natslog: no URL of a NATS server is given")
	case !streamName.MatchString(o.Stream):
		return fmt.Errorf("natslog: %q can't be the name of a stream: letters, digits, - and _ can be in it", o.Stream)
	case !subjectName.MatchString(o.Subject):
		return fmt.Errorf("natslog: %q can't be the subject of a stream: letters, digits, - and _ can be in it, and dots between them", o.Subject)
	case o.Replicas < 1 || o.Replicas > 5:
		return fmt.Errorf("natslog: %d replicas: a stream has 1 to 5", o.Replicas)
	case o.Replicas < DefaultReplicas && !o.FewReplicas:
		return fmt.Errorf("natslog: %d replicas: with fewer than 3, what was acknowledged is lost with one disk", o.Replicas)
	case !o.TrustSync && len(o.MonitorURLs) == 0:
		return errors.New("natslog: whether the servers sync before they acknowledge can't be asked: give the URL of each server's monitoring port, or say that they are trusted")
	case !o.TrustSync && len(o.MonitorURLs) < o.Replicas:
		return fmt.Errorf("natslog: %d URLs of monitoring ports are not enough: the stream has %d replicas, and each server has to be asked", len(o.MonitorURLs), o.Replicas)
	}
	return nil
}
