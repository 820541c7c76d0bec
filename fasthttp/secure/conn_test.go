package secure

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, text, text, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// pair returns a client and a connection whose handshake is over, with small buffers
// between them.
func pair(t testing.TB) (*tls.Conn, *Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	raw.(*net.TCPConn).SetReadBuffer(32 << 10) // through less, loopback is slow
	raw.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { raw.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	socket := accepted.(*net.TCPConn)
	socket.SetWriteBuffer(32 << 10)
	socket.SetDeadline(time.Now().Add(time.Minute))
	c := New(socket, certificate(t))
	t.Cleanup(func() { c.Close() })
	client := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := errors.Join(c.Handshake(Steps{}), <-shaken); err != nil {
		t.Fatal(err)
	}
	return client, c
}

// give gives what the socket takes, without a wait.
func give(t testing.TB, c *Conn, parts ...[]byte) (n int, err error) {
	t.Helper()
	if e := c.raw.Control(func(fd uintptr) { n, err = c.Give(fd, parts) }); e != nil {
		t.Fatal(e)
	}
	return n, err
}

// What Give takes arrives once and in order, however full the socket was, and a
// connection that nobody reads keeps no more than a record.
func TestConn_Give(t *testing.T) {
	client, c := pair(t)
	text := make([]byte, 3<<20)
	rand.Read(text)
	taken := 0
	for { // until the client would have to read
		n, err := give(t, c, text[taken:taken+100_000], nil, text[taken+100_000:taken+100_001])
		taken += n
		if err == syscall.EAGAIN {
			break
		}
		if err != nil || n != 100_001 {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if n, err := give(t, c, text[taken:]); n != 0 || err != syscall.EAGAIN {
		t.Errorf("a full socket takes %d, %v", n, err)
	}
	if q := c.sealed; q != nil && len(q.bytes)-q.sent > record+2048 {
		t.Errorf("%d bytes are kept", len(q.bytes)-q.sent)
	}
	got := make(chan []byte, 1)
	go func() {
		all, err := io.ReadAll(client)
		if err != nil {
			t.Errorf("the client: %v", err)
		}
		got <- all
	}()
	for taken < len(text) || c.Unsent() {
		n, err := give(t, c, text[taken:])
		taken += n
		if err == syscall.EAGAIN {
			time.Sleep(time.Millisecond)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.Write([]byte("end")); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	c.Close()
	if all := <-got; !bytes.Equal(all, append(text, "end"...)) {
		t.Errorf("%d bytes arrived of %d, or others", len(all), len(text)+3)
	}
}

// Write waits for the client, until the deadline, and Close waits for nobody.
func TestConn_WriteEnds(t *testing.T) {
	_, c := pair(t)
	c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := c.Write(make([]byte, 8<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	done := make(chan struct{})
	go func() { c.Close(); c.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("Close hangs")
	}
}

// Close cuts a handshake that waits for its client.
func TestConn_CloseInHandshake(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	socket, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := New(socket.(*net.TCPConn), certificate(t))
	reads := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- c.Handshake(Steps{Waits: func() error { close(reads); return nil }}) }()
	<-reads
	c.Close()
	if err := <-ended; err == nil {
		t.Error("the handshake is over without a client")
	}
}
