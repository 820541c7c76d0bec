package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// Clients with TLS get a session ticket whether they take sessions up or not, so that
// the server's work is the same but for that.
func TestDial_Sessions(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, text, text, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	var tickets, resumed atomic.Int64
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	config.WrapSession = func(s tls.ConnectionState, state *tls.SessionState) ([]byte, error) {
		tickets.Add(1)
		return config.EncryptTicket(s, state)
	}
	config.UnwrapSession = config.DecryptTicket
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			raw, err := ln.Accept()
			if err != nil {
				return
			}
			c := tls.Server(raw, config)
			if c.Handshake() == nil && c.ConnectionState().DidResume {
				resumed.Add(1)
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	const n = 5
	for _, row := range []struct {
		scheme  string
		resumed int64
	}{{TLS, 0}, {Resumed, n - 1}} {
		tickets.Store(0)
		resumed.Store(0)
		for range n {
			c, err := Dial(t.Context(), row.scheme+ln.Addr().String(), SmallBuffer)
			if err != nil {
				t.Fatal(err)
			}
			if h, err := c.Exchange([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil || h.Status != 200 {
				t.Fatal(h, err)
			}
			c.Close()
		}
		if tickets.Load() != n || resumed.Load() != row.resumed {
			t.Errorf("%s: %d tickets and %d sessions taken up of %d connections", row.scheme, tickets.Load(), resumed.Load(), n)
		}
	}
}
