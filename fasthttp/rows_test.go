package fasthttp

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"cowrelay/cow"
)

// The records of the statistics' history, as the form on disk says: written and
// read here by hand, so that the relay's own reading and writing are held
// against something.

const rowsPrefix = "stats/rows/"

// seedHistory gives the relay rows of some hours, one every 30 s, up to ago
// before now. edit adds to a row, by the names of the columns. The relay starts
// again with them.
func (g *rig) seedHistory(hours int, ago time.Duration, edit func(i int, row map[string]int64)) {
	g.Helper()
	last := time.Now().Add(-ago).Unix()
	last -= last % 30
	n := hours * 3600 / 30
	blocks := map[int64][]map[string]int64{}
	for i := range n {
		ts := last - int64(n-1-i)*30
		row := map[string]int64{"ts": ts, "slots_active": 1, "span_ms": 30_000}
		if edit != nil {
			edit(i, row)
		}
		blocks[ts-ts%1800] = append(blocks[ts-ts%1800], row)
	}
	for start, rows := range blocks {
		if _, err := g.store.Records().Put(fmt.Sprintf(rowsPrefix+"%012d", start), encodeRows(rows), 0, cow.Totals{}); err != nil {
			g.Fatal(err)
		}
	}
	g.restart()
}

// encodeRows writes rows that have the same columns.
func encodeRows(rows []map[string]int64) []byte {
	names := slices.Sorted(maps.Keys(rows[0]))
	out := binary.AppendUvarint([]byte{1}, uint64(len(names)))
	for _, name := range names {
		out = append(binary.AppendUvarint(out, uint64(len(name))), name...)
	}
	var before map[string]int64
	for _, row := range rows {
		for _, name := range names {
			out = binary.AppendVarint(out, row[name]-before[name])
		}
		before = row
	}
	return out
}

// storedRows reads all rows that the store has, the oldest first.
func (g *rig) storedRows() (rows []map[string]int64) {
	g.Helper()
	err := g.store.Records().List(rowsPrefix, func(key string, value []byte, _ uint64) error {
		rows = append(rows, decodeRows(g, value)...)
		return nil
	})
	if err != nil {
		g.Fatal(err)
	}
	return rows
}

func decodeRows(t testing.TB, in []byte) (rows []map[string]int64) {
	t.Helper()
	if in[0] != 1 {
		t.Fatalf("version %d", in[0])
	}
	in = in[1:]
	unsigned := func() int {
		v, n := binary.Uvarint(in)
		in = in[n:]
		return int(v)
	}
	names := make([]string, unsigned())
	for i := range names {
		size := unsigned()
		names[i], in = string(in[:size]), in[size:]
	}
	var before map[string]int64
	for len(in) > 0 {
		row := map[string]int64{}
		for _, name := range names {
			d, n := binary.Varint(in)
			in = in[n:]
			row[name] = before[name] + d
		}
		rows, before = append(rows, row), row
	}
	return rows
}
