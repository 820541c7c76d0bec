package fasthttp

import (
	"bytes"

	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/web"

	"github.com/valyala/fasthttp"
)

func (r *Relay) serveLanding(req request) error   { return req.file(web.Landing) }
func (r *Relay) serveDashboard(req request) error { return req.file(web.Dashboard) }

func (r *Relay) serveAsset(req request) error {
	f := web.Asset(pathOf(req.ctx.Request.Header.RequestURI()))
	if f == nil {
		return refusal.NotFound
	}
	return req.file(f)
}

// file replies with a page or what a page fetches: compressed if the client
// takes that, or 304 if it has it.
func (req request) file(f *web.File) error {
	h, res := &req.ctx.Request.Header, &req.ctx.Response
	e, small := f.Raw(), h.HasAcceptEncoding("gzip")
	if small {
		e = f.Gzip()
	}
	res.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	for _, header := range web.Headers {
		res.Header.Set(header[0], header[1])
	}
	res.Header.Set(fasthttp.HeaderETag, e.ETag)
	res.Header.SetContentType(f.Type)
	if hasTag(h.Peek(fasthttp.HeaderIfNoneMatch), e.ETag) {
		res.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	if small {
		res.Header.Set(fasthttp.HeaderContentEncoding, "gzip")
	}
	res.SetBodyRaw(e.Body)
	return nil
}

// hasTag says whether the list of an If-None-Match header names the tag. A
// proxy that compresses by itself makes our tags weak.
func hasTag(list []byte, tag string) bool {
	for item := range bytes.SplitSeq(list, []byte{','}) {
		item = bytes.TrimPrefix(bytes.TrimSpace(item), []byte("W/"))
		if string(item) == tag || string(item) == "*" {
			return true
		}
	}
	return false
}
