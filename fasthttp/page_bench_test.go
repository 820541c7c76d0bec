package fasthttp

import (
	"fmt"
	"net"
	"testing"
)

// BenchmarkPage pulls one page again and again over one connection: the whole way
// of a reply whose bytes are in memory.
func BenchmarkPage(b *testing.B) {
	for _, c := range []struct{ events, size int }{{1, 100}, {10, 300}, {100, 300}, {1000, 300}, {1000, 4000}} {
		b.Run(fmt.Sprintf("events=%d/size=%d", c.events, c.size), func(b *testing.B) {
			g := newRig(b)
			g.undescribed = true
			m := g.allocate()
			id, _ := parseSlot(m.id)
			length := c.events + 1
			for i := range c.events {
				p := g.store.NewPost()
				if err := p.Accept([]byte(`{"event":` + bigEvent(fmt.Sprint("e", i), c.size) + `}`)); err != nil {
					b.Fatal(err)
				}
				if _, err := p.Commit(g.store.Slot(id)); err != nil {
					b.Fatal(err)
				}
				p.Release()
				length += c.size
			}
			conn, err := net.Dial("tcp", g.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			ask := []byte("GET /v1/events/" + m.id + "?limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + m.token + "\r\n\r\n")
			buf := make([]byte, 256<<10)
			pull := func() {
				conn.Write(ask)
				left := -1 // to read; the head's length is not known before it came
				for left != 0 {
					n, err := conn.Read(buf)
					if err != nil {
						b.Fatal(err)
					}
					if left < 0 {
						left = length + headLen(buf[:n])
					}
					left -= n
				}
			}
			pull()
			b.SetBytes(int64(length))
			for b.Loop() {
				pull()
			}
		})
	}
}

// headLen is how long the head of a reply is, which one read has brought.
func headLen(b []byte) int {
	for i := range len(b) - 3 {
		if string(b[i:i+4]) == "\r\n\r\n" {
			return i + 4
		}
	}
	return 0
}
