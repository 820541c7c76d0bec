package stats

import (
	"io"
	"strconv"
)

// Rows is the body of a /stats.history reply: a head, and the rows as the blocks
// hold them. All replies share those bytes, so a reply costs the same however many
// rows it has.
type Rows struct {
	timeline     timeline
	after, until int64 // Unix seconds
	count, size  int   // rows; bytes of the whole body
	head         []byte
}

// newRows returns the rows of the last hours up to now, in Unix seconds.
func newRows(t timeline, hours int, now int64) *Rows {
	b := &Rows{timeline: t, after: now - int64(hours)*3600, until: now + 1}
	if hours == 0 {
		b.until = b.after
	}
	for s := range b.stretches {
		b.count += s.to - s.from
		b.size += len(s.bytes())
	}
	b.head = append(b.head, `{"hours":`...)
	b.head = strconv.AppendInt(b.head, int64(hours), 10)
	b.head = append(b.head, `,"now_unix":`...)
	b.head = strconv.AppendInt(b.head, now, 10)
	b.head = append(b.head, `,"count":`...)
	b.head = strconv.AppendInt(b.head, int64(b.count), 10)
	b.head = append(b.head, `,"entries":[`...)
	b.size = len(b.head) + max(b.size-1, 0) + len("]}") // the first row has no comma before it
	return b
}

func (b *Rows) stretches(yield func(stretch) bool) { b.timeline.within(b.after, b.until, yield) }

// Size is the length of the body in bytes.
func (b *Rows) Size() int { return b.size }

// WriteTo implements io.WriterTo.
func (b *Rows) WriteTo(dst io.Writer) (n int64, err error) {
	write := func(p []byte) bool {
		var m int
		m, err = dst.Write(p)
		n += int64(m)
		return err == nil
	}
	if !write(b.head) {
		return n, err
	}
	skip := 1
	for s := range b.stretches {
		if !write(s.bytes()[skip:]) {
			return n, err
		}
		skip = 0
	}
	write([]byte("]}"))
	return n, err
}
