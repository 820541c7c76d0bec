package stats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// A block of rows as a record:
//
//	version (1 byte)
//	count of columns                             unsigned varint
//	for each column: length of its name, name    unsigned varint, bytes
//	for each row and column: the value less that of the row before
//	                                             signed varint, to the end
//
// Columns have names, so that a release which has more or fewer of them reads
// what another one wrote.

const (
	historyVersion = 1
	maxColumns     = 1000
)

var errCut = errors.New("it ends too early")

func encodeBlock(b *block) []byte {
	out := binary.AppendUvarint([]byte{historyVersion}, columns)
	for _, name := range columnNames {
		out = append(binary.AppendUvarint(out, uint64(len(name))), name...)
	}
	var last row
	for i := range b.rows {
		for c, v := range b.rows[i] {
			out = binary.AppendVarint(out, v-last[c])
		}
		last = b.rows[i]
	}
	return out
}

func decodeBlock(start int64, in []byte) (*block, error) {
	if len(in) == 0 {
		return nil, errCut
	}
	if in[0] != historyVersion {
		return nil, fmt.Errorf("version %d", in[0])
	}
	to, in, err := decodeColumns(in[1:])
	if err != nil {
		return nil, err
	}
	var empty row
	for c := shownColumns; c < columns; c++ {
		empty[c] = noValue
	}
	b := newBlock(start, rowsOfBlock)
	last := make([]int64, len(to))
	for before := start - 1; len(in) > 0; {
		r := empty
		for i, c := range to {
			d, n := binary.Varint(in)
			if n <= 0 {
				return nil, errCut
			}
			in = in[n:]
			if last[i] += d; c >= 0 {
				r[c] = max(last[i], empty[c])
			}
		}
		if r[colTS] <= before || r[colTS] >= start+blockSeconds {
			return nil, errors.New("the times of the rows are out of order")
		}
		before = r[colTS]
		b = b.with(&r)
	}
	return b, nil
}

// decodeColumns reads the names of a record's columns. It returns our column for
// each, -1 where there is none, and the bytes behind the names.
func decodeColumns(in []byte) (to []int, rest []byte, err error) {
	count, n := binary.Uvarint(in)
	if n <= 0 || count > maxColumns {
		return nil, nil, errors.New("no number of columns")
	}
	in = in[n:]
	for range count {
		size, n := binary.Uvarint(in)
		if n <= 0 || size > uint64(len(in)-n) {
			return nil, nil, errCut
		}
		to = append(to, slices.Index(columnNames[:], string(in[n:n+int(size)])))
		in = in[n+int(size):]
	}
	if !slices.Contains(to, colTS) {
		return nil, nil, errors.New("no column of times")
	}
	return to, in, nil
}
