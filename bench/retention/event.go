package retention

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

const (
	eventHead = `{"body":{"text":"`
	eventMid  = `"},"event_id":"`
	eventTail = `","kind":1,"type":"message"}`
	idDigits  = 64
	// minEventBytes is the size of an event without a text.
	minEventBytes = len(eventHead) + len(eventMid) + idDigits + len(eventTail)
)

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// events makes events of random ids and texts, as signed or encrypted ones have. The
// store compresses what it can, and a disk that holds nothing but repetitions would say
// nothing about the space that events take.
type events struct {
	seed uint64
	size int
}

// append appends event n, which is always the same.
func (m events) append(b []byte, n uint64) []byte {
	r := rand.NewPCG(m.seed, n)
	b = append(b, eventHead...)
	for left := m.size - minEventBytes; left > 0; {
		bits := r.Uint64()
		for k := 0; k < 10 && left > 0; k, left = k+1, left-1 { // 6 bits each
			b = append(b, letters[bits&63])
			bits >>= 6
		}
	}
	b = append(b, eventMid...)
	var id [idDigits / 2]byte
	for i := 0; i < len(id); i += 8 {
		binary.BigEndian.PutUint64(id[i:], r.Uint64())
	}
	return append(hex.AppendEncode(b, id[:]), eventTail...)
}
