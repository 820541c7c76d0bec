package natslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// A paused server keeps its connections open and says nothing. Pings find it.
const (
	pingInterval = time.Second
	pingsMissed  = 2
	// dialTimeout is for the connection and the first words on it.
	dialTimeout = 2 * time.Second
	// writeTimeout is how long a server may take nothing.
	writeTimeout = 2 * time.Second
	// reconnectWait is between two tries of the same server.
	reconnectWait = 250 * time.Millisecond
	// askTimeout is how long a server may take to answer.
	askTimeout = 2 * time.Second
	// retryWait is between two tries of Open.
	retryWait = 500 * time.Millisecond
)

// dialer ends its connections' beginnings with the log.
type dialer struct{ ctx context.Context }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
}

// credentials is the option for a file with credentials. It is read again for each
// connection, so that it can be replaced.
func credentials(file string) (nats.Option, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("natslog: the file with credentials can't be read: %w", err)
	}
	if bytes.Contains(text, []byte("NATS USER JWT")) {
		return nats.UserCredentials(file), nil
	}
	if _, _, ok := userPassword(text); ok {
		return nats.UserInfoHandler(func() (user, password string) {
			text, err := os.ReadFile(file)
			if err != nil {
				return "", ""
			}
			user, password, _ = userPassword(text)
			return user, password
		}), nil
	}
	// Errors of the library could have something of the file in them.
	o, err := nats.NkeyOptionFromSeed(file)
	if err != nil {
		return nil, fmt.Errorf("natslog: %s has neither the credentials of a NATS user, nor the seed of an nkey, nor a line user:password", file)
	}
	return o, nil
}

// userPassword reads a file of one line user:password.
func userPassword(text []byte) (user, password string, ok bool) {
	line := strings.TrimSpace(string(text))
	if strings.ContainsAny(line, "\r\n") {
		return "", "", false
	}
	user, password, ok = strings.Cut(line, ":")
	return user, password, ok && user != "" && password != ""
}

// connOptions are those of every connection of the log.
func (l *Log) connOptions() ([]nats.Option, error) {
	list := []nats.Option{
		nats.Name(fmt.Sprintf("cowrelay %s %s", l.o.Version, l.o.Name)),
		nats.SetCustomDialer(dialer{l.ctx}),
		nats.Timeout(dialTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsMissed),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectOnFlusherError(),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait/2, reconnectWait/2),
		// Without it two refusals of one server end the connection for ever.
		nats.IgnoreAuthErrorAbort(),
		// What is sent while there is no connection is refused, not kept.
		nats.ReconnectBufSize(-1),
		nats.SkipSubjectValidation(),
		// What the server sends ahead has to fit: 32 MiB of the smallest entries.
		nats.SyncQueueLen(1 << 18),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { l.disconnected(err) }),
		nats.ReconnectHandler(l.reconnected),
		nats.NoCallbacksAfterClientClose(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.asyncError(err) }),
	}
	if l.o.Creds != "" {
		c, err := credentials(l.o.Creds)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if l.o.CA != "" {
		if _, err := os.ReadFile(l.o.CA); err != nil {
			return nil, fmt.Errorf("natslog: the file with certificates can't be read: %w", err)
		}
		list = append(list, nats.RootCAs(l.o.CA))
	}
	if l.o.Cert != "" {
		if _, err := l.o.certificate(); err != nil {
			return nil, err
		}
		list = append(list, nats.ClientCert(l.o.Cert, l.o.Key))
	}
	return list, nil
}

// certificate reads the one of this relay.
func (o *Options) certificate() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, fmt.Errorf("natslog: the certificate %s with the key %s can't be used: %w", o.Cert, o.Key, err)
	}
	return &c, nil
}

// hopeless says that another try of connecting can't help.
func hopeless(err error) bool {
	var r *Refusal
	return errors.As(err, &r) || errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthRevoked) ||
		errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrSecureConnWanted) || errors.Is(err, nats.ErrSecureConnRequired)
}

// disconnected is called when the connection has broken.
func (l *Log) disconnected(err error) {
	l.mu.Lock()
	l.connected, l.refusal = false, ""
	l.dropPending()
	subs := l.subs
	l.subs = nil
	first := !l.silent
	l.silent = true
	l.mu.Unlock()
	// Sessions of Follow end now, not when they miss a heartbeat.
	for s := range subs {
		_ = s.Unsubscribe()
	}
	if l.ctx.Err() != nil {
		return
	}
	if err == nil {
		err = nats.ErrDisconnected
	}
	l.noteError(err)
	if first {
		l.o.Logger.Warn("the connection to NATS is gone, connecting again", "error", err)
	}
}

// reconnected is called when there is a connection again.
func (l *Log) reconnected(nc *nats.Conn) {
	l.mu.Lock()
	l.connected = true
	l.silent = false
	l.mu.Unlock()
	l.reconnects.Add(1)
	l.o.Logger.Info("connected to NATS again", "server", nc.ConnectedServerName())
	if err := checkServer(nc); err != nil {
		l.noteError(err)
		l.o.Logger.Error("a NATS server is not fit for the log", "server", nc.ConnectedServerName(), "error", err)
	}
	// What was under way may be lost.
	l.signal()
}

// asyncError is called for what no call can return.
func (l *Log) asyncError(err error) {
	if err == nil || errors.Is(err, nats.ErrSlowConsumer) {
		return // Follow notices the gap
	}
	if l.noteError(err) {
		l.o.Logger.Warn("NATS", "error", err)
	}
	l.troubled.Store(true)
}
