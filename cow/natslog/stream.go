package natslog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Names in the stream's metadata.
const (
	metaID     = "cowrelay_log"
	metaFormat = "cowrelay_format"
)

// streamFormat is the format of the stream, not of its entries: they have their own.
const streamFormat = 1

// makeTimeout is longer than that of a question: the servers agree first.
const makeTimeout = 10 * time.Second

// wanted is the stream as Open makes it.
func (l *Log) wanted(id [16]byte) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        l.o.Stream,
		Description: "The log of a fleet of cowrelays",
		Subjects:    []string{l.o.Subject},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		Replicas:    l.o.Replicas,
		DenyDelete:  true,
		AllowDirect: true, // fetch
		MaxMsgs:     -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
		Metadata: map[string]string{
			metaID:     hex.EncodeToString(id[:]),
			metaFormat: strconv.Itoa(streamFormat),
		},
	}
}

// openStream finds the stream or makes it, and takes its ID. Two relays that make it at
// the same time both read back what the servers kept.
func (l *Log) openStream() error {
	info, err := l.findStream()
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if l.o.Expect != ([16]byte{}) {
			return refuse("the stream %s is not there, and this relay's data come from one: is this the right NATS cluster and account?", l.o.Stream)
		}
		if err := l.makeStream(); err != nil {
			return err
		}
		info, err = l.findStream()
	}
	if err != nil {
		return err
	}
	if err := l.checkStream(&info.Config); err != nil {
		return err
	}
	id, err := readID(info.Config.Metadata)
	if err != nil {
		return err
	}
	if l.o.Expect != ([16]byte{}) && l.o.Expect != id {
		return refuse("the stream %s has the log %x, and this relay's data come from log %x: is this the right NATS cluster and account?", l.o.Stream, id, l.o.Expect)
	}
	l.id = id
	l.head.Store(info.State.LastSeq)
	l.hear(time.Now())
	return nil
}

func (l *Log) findStream() (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(l.ctx, askTimeout)
	defer cancel()
	s, err := l.js.Stream(ctx, l.o.Stream)
	switch {
	case err == nil:
		if info := s.CachedInfo(); info.Cluster == nil || info.Cluster.Leader != "" {
			return info, nil
		}
		return nil, errNoLeader
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, err
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return nil, refuse("the NATS server %s has no JetStream: add a jetstream block to its configuration", l.nc.ConnectedServerName())
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return nil, refuse("this account has no JetStream: add jetstream: enabled to it in the configuration of the NATS servers")
	case ctx.Err() != nil && l.ctx.Err() == nil:
		return nil, errors.New("natslog: JetStream does not answer: too few servers can be reached, or this user may not use $JS.API.> and _INBOX.>")
	}
	return nil, fmt.Errorf("natslog: the stream %s can't be found: %w", l.o.Stream, err)
}

// Codes of what a server says to a wish for a stream.
const (
	codeNoPeers       = 10005 // too few servers, perhaps only for the moment
	codeSubjects      = 10065 // another stream has the subject
	codeNotClustered  = 10074
	codeNoPermissions = 10039
)

// makeStream makes the stream. Asked twice it makes one: the second one finds a stream
// of that name.
func (l *Log) makeStream() error {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	ctx, cancel := context.WithTimeout(l.ctx, makeTimeout)
	defer cancel()
	_, err := l.js.CreateStream(ctx, l.wanted(id))
	var api *jetstream.APIError
	switch {
	case err == nil:
		l.o.Logger.Info("made the log", "stream", l.o.Stream, "replicas", l.o.Replicas)
		return nil
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return nil // somebody was faster
	case errors.As(err, &api) && api.ErrorCode == codeNotClustered:
		return refuse("the NATS server %s is alone, and the log is to have %d replicas: add a cluster block to the configuration of each server", l.nc.ConnectedServerName(), l.o.Replicas)
	case errors.As(err, &api) && api.ErrorCode == codeSubjects:
		return refuse("another stream has the subject %s: choose another name for the log", l.o.Subject)
	case errors.As(err, &api) && api.ErrorCode == codeNoPeers:
		return fmt.Errorf("natslog: the log is to have %d replicas, and fewer servers are there: %s", l.o.Replicas, api.Description)
	}
	return fmt.Errorf("natslog: the stream %s can't be made: %w", l.o.Stream, err)
}

// checkStream refuses a stream that promises less than ours. It names all that differs.
func (l *Log) checkStream(c *jetstream.StreamConfig) error {
	if c.Mirror != nil {
		return refuse("the stream %s is a mirror of %s: nobody can send to it, and it may be behind. Name %s; if its servers are far away, reach them through a leaf node without JetStream", l.o.Stream, c.Mirror.Name, c.Mirror.Name)
	}
	var list []string
	differs := func(wrong bool, format string, args ...any) {
		if wrong {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	differs(!slices.Equal(c.Subjects, []string{l.o.Subject}), "its subjects are %q, not %q", c.Subjects, l.o.Subject)
	differs(c.Retention != jetstream.LimitsPolicy, "its retention is %v, not limits", c.Retention)
	differs(c.Storage != jetstream.FileStorage, "its storage is %v, not file", c.Storage)
	differs(c.Discard != jetstream.DiscardNew, "when it is full it drops old entries (discard: %v, not new)", c.Discard)
	differs(c.Replicas < l.o.Replicas, "it has %d replicas, not %d", c.Replicas, l.o.Replicas)
	differs(!c.DenyDelete, "entries can be deleted (deny_delete is false)")
	differs(c.DenyPurge, "it can't be purged (deny_purge is true)")
	differs(c.MaxAge != 0, "entries end after %v (max_age is set)", c.MaxAge)
	differs(c.MaxMsgsPerSubject > 0, "it holds %d entries at most (max_msgs_per_subject is set)", c.MaxMsgsPerSubject)
	differs(c.MaxMsgSize > 0 && c.MaxMsgSize < MaxEntry, "entries may have %d bytes, not %d (max_msg_size)", c.MaxMsgSize, MaxEntry)
	differs(c.NoAck, "it does not answer (no_ack is true)")
	differs(c.Sealed, "it is sealed")
	differs(c.AllowRollup, "one message can replace all others (allow_rollup_hdrs is true)")
	differs(c.AllowMsgTTL, "entries can end by themselves (allow_msg_ttl is true)")
	differs(c.AllowMsgSchedules, "it makes entries by itself (allow_msg_schedules is true)")
	differs(c.PersistMode == jetstream.AsyncPersistMode, "it writes later (persist_mode is async)")
	differs(len(c.Sources) > 0, "it copies other streams")
	differs(c.SubjectTransform != nil, "it changes subjects")
	if len(list) > 0 {
		return refuse("the stream %s can't be the log: %s. Change it with `nats stream edit`, or choose another name for the log", l.o.Stream, strings.Join(list, "; "))
	}
	return nil
}

// readID reads the log's ID from a stream's metadata.
func readID(meta map[string]string) (id [16]byte, err error) {
	text, format := meta[metaID], meta[metaFormat]
	if text == "" {
		return id, refuse("the stream is there and was not made by a cowrelay: choose another name for the log")
	}
	if format != strconv.Itoa(streamFormat) {
		return id, refuse("the stream has format %q, this program knows %d: start a newer cowrelay", format, streamFormat)
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, refuse("the stream's metadata %s is %q, which is not the ID of a log", metaID, text)
	}
	return [16]byte(b), nil
}
