package fasthttp

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"

	"cowrelay/fasthttp/manual"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/web"

	"github.com/valyala/fasthttp"
)

func (r *Relay) serveLanding(req request) error   { return req.file(web.Landing) }
func (r *Relay) serveDashboard(req request) error { return req.file(web.Dashboard) }

func (r *Relay) servePhonebook(req request) error { return req.file(web.Phonebook) }

func (r *Relay) serveAsset(req request) error {
	f := web.Asset(pathOf(req.ctx.Request.Header.RequestURI()))
	if f == nil {
		return refusal.NotFound
	}
	return req.file(f)
}

// file replies with a page or a part of one: compressed if the client takes that,
// or 304 if the client has it.
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

// hasTag says whether the list of an If-None-Match header names the tag. A proxy
// that compresses by itself makes our tags weak.
func hasTag(list []byte, tag string) bool {
	for item := range bytes.SplitSeq(list, []byte{','}) {
		item = bytes.TrimPrefix(bytes.TrimSpace(item), []byte("W/"))
		if string(item) == tag || string(item) == "*" {
			return true
		}
	}
	return false
}

// description is the OpenAPI document of all public routes. Tests compare it with
// what the relay does.
//
//go:embed openapi.yaml
var description []byte

// apiPage is the description for people.
var apiPage = web.Made(manual.APIPath, func() []byte {
	body, err := manual.API(description)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return body
})

func (r *Relay) serveAPI(req request) error { return req.file(apiPage) }

// chapters are the pages of the manual, by path. The caller may have given none.
func chapters(book *manual.Book) map[string]*web.File {
	if book == nil {
		return nil
	}
	files := map[string]*web.File{manual.Path: web.Made(manual.Path, book.Contents)}
	for _, name := range book.Names() {
		path := manual.ChapterPath(name)
		files[path] = web.Made(path, func() []byte { return book.Chapter(name) })
	}
	return files
}

func (r *Relay) serveManual(req request) error {
	f := r.manual[string(pathOf(req.ctx.Request.Header.RequestURI()))]
	if f == nil {
		return refusal.NotFound
	}
	return req.file(f)
}

var descriptionTag = func() []byte {
	sum := sha256.Sum256(description)
	return []byte(`"` + hex.EncodeToString(sum[:8]) + `"`)
}()

func (r *Relay) serveDescription(req request) error {
	res := &req.ctx.Response
	res.Header.SetContentType("application/yaml")
	res.Header.SetBytesV(fasthttp.HeaderETag, descriptionTag)
	res.Header.Set(fasthttp.HeaderCacheControl, "no-cache") // a copy is checked by its tag
	// A list of tags, or a weak tag, holds ours with its quotes, too.
	if bytes.Contains(req.ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch), descriptionTag) {
		res.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	res.SetBodyRaw(description)
	return nil
}

// serveHealthz says that the process runs.
func (r *Relay) serveHealthz(req request) error {
	req.ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
	req.ctx.Response.SetBodyString("ok\n")
	return nil
}
