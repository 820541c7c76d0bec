package fasthttp

import (
	"net"
	"unsafe"

	"cowrelay/fasthttp/conn"

	"github.com/valyala/fasthttp"
)

// What the relay needs of the server beyond what the server's documentation
// promises stands here, each with why, and with what would break. A test in
// upstream_test.go fails for each when an upgrade changes it.

// ctxOf finds the context of the request whose header is h.
//
// Why: HeaderReceived is the one hook before the body is read, and it is given
// the header alone: not the connection, whose address the limits are for, nor
// anything that the handler will see. The header is always a part of the
// context's Request, so the context is at a fixed distance before it.
//
// If upstream kept a request's header elsewhere, or called the hook with a copy,
// this would return a wild pointer.
func ctxOf(h *fasthttp.RequestHeader) *fasthttp.RequestCtx {
	const at = unsafe.Offsetof(fasthttp.RequestCtx{}.Request) + unsafe.Offsetof(fasthttp.Request{}.Header)
	return (*fasthttp.RequestCtx)(unsafe.Add(unsafe.Pointer(h), -int(at)))
}

// connOf returns the connection whose request has the header h, and nil if it is
// not one of the listener's.
func connOf(h *fasthttp.RequestHeader) *conn.Conn {
	c, _ := ctxOf(h).Conn().(*conn.Conn)
	return c
}

// withheldKey is the key of the context's value that says why the request's body
// is not read.
type withheldKey struct{}

// withhold turns the request into one without a body, and its connection into
// one that is closed behind the reply. The handler finds why with withheld.
//
// Why: a hook that refuses a request can't answer it. The server reads the body
// by what the header says behind the hook, then calls the handler. So the header
// is made to say that there is none.
//
// If upstream decided on the body before the hook, refused requests would wait
// for their bodies. If it dropped the context's values between hook and handler,
// they would be served as requests without a body.
func withhold(h *fasthttp.RequestHeader, why string) {
	h.Del(fasthttp.HeaderExpect)
	h.SetContentLength(0)
	h.SetConnectionClose()
	ctxOf(h).SetUserValue(withheldKey{}, why)
}

// withheld says why the request's body is not read, and nothing if it is.
func withheld(ctx *fasthttp.RequestCtx) string {
	why, _ := ctx.UserValue(withheldKey{}).(string)
	return why
}

// bodyOwnsHead has the reply's head handed to the body, which writes both: the
// connection gives what the server writes before it calls the body's WriteTo to
// head, and sends nothing.
//
// Why: head and body are to go out in one system call, as the receiver is woken
// for each; and the body is not to pass through the server's buffer, which would
// hold memory of the slots for as long as a client keeps it waiting. The server
// gives a body no way to flush that buffer, but it flushes the head before the
// body if it is asked to (ImmediateHeaderFlush).
//
// If upstream did not, or called WriteTo first, a body would go out before its
// head. The caller's body has no bytes to send with a reply to HEAD, for which
// upstream does not call WriteTo.
func bodyOwnsHead(ctx *fasthttp.RequestCtx, c *conn.Conn, head conn.HeadTaker) {
	ctx.Response.ImmediateHeaderFlush = true
	c.GiveHead(head)
}

// connState hears from the server where a connection stands: a request has begun
// to arrive, or it has been answered. Both are told by the goroutine that serves
// the connection.
//
// Why: a request that has begun and of which more must be waited for takes
// memory, and the reads of a connection don't tell it from one that waits for a
// request. If upstream told of a request later, unfinished headers would not be
// on the books of underway.
func connState(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn.Conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateActive:
		c.FirstByte()
	case fasthttp.StateIdle:
		c.Idle()
	}
}
