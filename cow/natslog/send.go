package natslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// answerTimeout is how long a server may take to answer before the entry counts as lost.
const answerTimeout = 4 * time.Second

// parcel is an entry under way.
type parcel struct {
	number uint64
	entry  []byte // a copy; given back when it is written
	size   int
	at     time.Time // when it was handed over
}

// copies keeps the buffers of entries between two parcels.
var copies = sync.Pool{New: func() any { return new([]byte) }}

// Send hands an entry over. It waits for nothing: another goroutine writes.
func (l *Log) Send(entry []byte) error {
	if len(entry) > MaxEntry {
		return fmt.Errorf("natslog: an entry of %d bytes: %d can be sent", len(entry), MaxEntry)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return errClosed
	case !l.connected:
		return errors.New("natslog: not connected to NATS")
	case len(l.pending) >= maxInFlight || int64(l.pendingBytes+len(entry)) > l.o.Memory/2:
		return errors.New("natslog: too much is under way to NATS and not answered")
	}
	buf := copies.Get().(*[]byte)
	l.number++
	p := &parcel{number: l.number, entry: append((*buf)[:0], entry...), size: len(entry), at: time.Now()}
	l.pending[p.number] = p
	l.pendingBytes += p.size
	// The channel holds no more than what is pending, or was when the connection broke.
	select {
	case l.queue <- p:
		l.sent.Add(1)
		return nil
	default:
		l.drop(p)
		return errors.New("natslog: too much is under way to NATS and not written")
	}
}

// send writes what Send was given.
func (l *Log) send() {
	for {
		select {
		case p := <-l.queue:
			reply := l.acks + strconv.FormatUint(p.number, 10)
			err := l.nc.PublishRequest(l.o.Subject, reply, p.entry)
			copies.Put(&p.entry)
			if err != nil {
				l.mu.Lock()
				l.drop(p)
				l.mu.Unlock()
				l.noteError(err)
				l.troubled.Store(true)
			}
		case <-l.ctx.Done():
			return
		}
	}
}

// drop forgets a parcel. mu is held.
func (l *Log) drop(p *parcel) {
	if l.pending[p.number] == p {
		delete(l.pending, p.number)
		l.pendingBytes -= p.size
	}
}

// dropPending forgets all parcels. mu is held.
func (l *Log) dropPending() {
	clear(l.pending)
	l.pendingBytes = 0
}

// answer takes what a server says to an entry. It is called by one goroutine of the
// connection.
func (l *Log) answer(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 10, 64)
	if err != nil {
		return
	}
	err = readAnswer(m)
	l.mu.Lock()
	p := l.pending[number]
	if p != nil {
		l.drop(p)
	}
	switch {
	case err == nil:
		l.refusal = ""
	case p != nil:
		l.refusal = err.Error()
	}
	l.mu.Unlock()
	switch {
	case err == nil:
		l.answered.Add(1)
		l.stuckUntil.Store(0)
		l.hear(time.Now())
	case p != nil:
		l.refused.Add(1)
		l.noteError(fmt.Errorf("NATS refused an entry: %w", err))
		l.troubled.Store(true)
	}
}

// readAnswer returns why the server refused, or nil.
func readAnswer(m *nats.Msg) error {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return errors.New("no server has the stream's leader")
	}
	// Nearly all say {"stream":"…","seq":…}.
	if !bytes.Contains(m.Data, []byte(`"error"`)) {
		return nil
	}
	var a struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil || a.Error == nil {
		return errors.New("an answer that can't be read")
	}
	return errors.New(refusalText(a.Error))
}

// Codes of refusals for which the server's words don't say what to do.
const (
	codeResources = 10023
	codeMaxBytes  = 10077 // also 10047, of the account's or server's storage
)

func refusalText(e *jetstream.APIError) string {
	switch {
	case e.ErrorCode == codeResources || strings.Contains(e.Description, "insufficient resources"):
		return e.Description + ": the servers' storage for JetStream is full: raise max_file_store or give them a larger disk"
	case e.ErrorCode == codeMaxBytes || strings.Contains(e.Description, "maximum bytes"):
		return e.Description + ": the stream is full: raise its --max-bytes, or let relays purge more"
	}
	return e.Description
}
