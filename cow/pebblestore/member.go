package pebblestore

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow/replay"
)

// JoinLog implements replay.MemberStore.
func (s *Store) JoinLog(log replay.LogID, digest uint64) error {
	if s.readOnly {
		return errReadOnly
	}
	return s.set(func(b *pebble.Batch) {
		leave(b)
		must(b.Set(metaMember, binary.AppendUvarint(log[:], s.applied.Load()), nil))
		must(b.Set(metaDigest, binary.BigEndian.AppendUint64(nil, digest), nil))
	})
}

// LeaveLog implements replay.MemberStore. Behind it the store is new: it never had a
// log of its own that reaches as far as it does.
func (s *Store) LeaveLog() error {
	if s.readOnly {
		return errReadOnly
	}
	err := s.set(func(b *pebble.Batch) {
		leave(b)
		must(b.Delete(metaLogMade, nil))
	})
	if err == nil {
		s.isNew = true
	}
	return err
}

// leave takes the keys of a shared log away.
func leave(b *pebble.Batch) {
	must(b.Delete(metaMember, nil))
	must(b.Delete(metaDigest, nil))
	must(b.DeleteRange(metaProducer, prefixEnd(metaProducer), nil))
}

// addMember adds what a batch says of the shared log.
func addMember(b *pebble.Batch, from *replay.Batch) {
	op := b.SetDeferred(len(metaDigest), 8)
	copy(op.Key, metaDigest)
	binary.BigEndian.PutUint64(op.Value, from.Digest)
	must(op.Finish())
	for _, p := range from.Producers {
		k := producerKey(p.ID)
		if p.Number == 0 {
			must(b.Delete(k[:], nil))
			continue
		}
		must(b.Set(k[:], append(appendPair(nil, p.Number, p.Seq), p.Part...), nil))
	}
}

// producerKeyLen is that of metaProducer and a number.
const producerKeyLen = len("mp/") + 8

func producerKey(id uint64) (k [producerKeyLen]byte) {
	binary.BigEndian.PutUint64(k[copy(k[:], metaProducer):], id)
	return k
}

// Member implements replay.View.
func (v *view) Member() (m replay.Member, err error) {
	found, err := v.s.read(v.snapshot, metaMember, func(value []byte) (err error) {
		m.Log, m.Base, err = decodeMember(value)
		return err
	})
	if err != nil || !found {
		return replay.Member{}, err
	}
	found, err = v.s.read(v.snapshot, metaDigest, func(value []byte) (err error) {
		m.Digest, err = decodeDigest(value)
		return err
	})
	if err == nil && !found {
		err = v.s.corrupt(nil, "the key %s is missing", metaDigest)
	}
	if err != nil {
		return replay.Member{}, err
	}
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: metaProducer, UpperBound: prefixEnd(metaProducer)})
	if err != nil {
		return replay.Member{}, v.s.corrupt(err, "the producers can't be read")
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return replay.Member{}, v.s.corrupt(err, "a producer can't be read")
		}
		p, err := decodeProducer(it.Key(), value)
		if err != nil {
			return replay.Member{}, v.s.corrupt(err, "a producer")
		}
		m.Producers = append(m.Producers, p)
	}
	if err := it.Error(); err != nil {
		return replay.Member{}, v.s.corrupt(err, "the producers can't be read")
	}
	return m, nil
}

// decodeMember reads the value of metaMember.
func decodeMember(v []byte) (log replay.LogID, base uint64, err error) {
	if len(v) < len(log) {
		return log, 0, errDecode
	}
	base, n := binary.Uvarint(v[copy(log[:], v):])
	if n <= 0 || n != len(v)-len(log) || log == (replay.LogID{}) {
		return log, 0, errDecode
	}
	return log, base, nil
}

// decodeDigest reads the value of metaDigest.
func decodeDigest(v []byte) (uint64, error) {
	if len(v) != 8 {
		return 0, errDecode
	}
	return binary.BigEndian.Uint64(v), nil
}

// decodeProducer reads a key that begins with metaProducer, and its value.
func decodeProducer(k, v []byte) (p replay.Producer, err error) {
	if len(k) != producerKeyLen {
		return p, errDecode
	}
	p.ID = binary.BigEndian.Uint64(k[len(metaProducer):])
	number, n := binary.Uvarint(v)
	if n <= 0 || number == 0 {
		return p, errDecode
	}
	seq, m := binary.Uvarint(v[n:])
	if m <= 0 || seq == 0 {
		return p, errDecode
	}
	p.Number, p.Seq, p.Part = number, seq, append([]byte(nil), v[n+m:]...)
	return p, nil
}
