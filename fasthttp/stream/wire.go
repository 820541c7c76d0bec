package stream

import (
	"fmt"
	"strconv"
)

// wireForm is what a stream says beside frames, as it goes out. A comment or
// retry line has no blank line behind it: to some clients that is an event.
type wireForm struct {
	chunked bool
	head    []byte // of the reply, and the first comment line
	comment []byte
	end     []byte // what tells a client that the stream is whole; empty: the connection's end
}

// Streams of HTTP/1.1 come in chunks, as frames do: see cow.Subscriber.Next.
var (
	chunkedForm = newWireForm(true)
	plainForm   = newWireForm(false)
)

func newWireForm(chunked bool) wireForm {
	f := wireForm{chunked: chunked}
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n" +
		"X-Accel-Buffering: no\r\nConnection: close\r\n"
	if chunked {
		head += "Transfer-Encoding: chunked\r\n"
		f.end = []byte("0\r\n\r\n")
	}
	f.head = append([]byte(head+"\r\n"), f.line(": open\n")...)
	f.comment = f.line(": alive\n")
	return f
}

func formOf(chunked bool) *wireForm {
	if chunked {
		return &chunkedForm
	}
	return &plainForm
}

// Head is what a stream begins with: the reply's head and the first comment line.
// All streams share it.
func Head(chunked bool) []byte { return formOf(chunked).head }

// line is a line as it goes out.
func (f *wireForm) line(text string) []byte {
	if !f.chunked {
		return []byte(text)
	}
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(text), text)
}

// retry is a stream's last line, which tells the client when to come back, and
// its end.
func (f *wireForm) retry(ms int64) []byte {
	return append(f.line("retry: "+strconv.FormatInt(ms, 10)+"\n"), f.end...)
}
