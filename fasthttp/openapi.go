package fasthttp

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"

	"github.com/valyala/fasthttp"
)

// description is the OpenAPI document of all public routes. Tests hold it and
// what the relay does against each other.
//
//go:embed openapi.yaml
var description []byte

var descriptionTag = func() []byte {
	sum := sha256.Sum256(description)
	return []byte(`"` + hex.EncodeToString(sum[:8]) + `"`)
}()

func (r *Relay) serveDescription(req request) error {
	res := &req.ctx.Response
	res.Header.SetContentType("application/yaml")
	res.Header.SetBytesV(fasthttp.HeaderETag, descriptionTag)
	res.Header.Set(fasthttp.HeaderCacheControl, "no-cache") // of a copy: it is asked after by its tag
	// Lists of tags and weak ones hold the tag with its quotes too.
	if bytes.Contains(req.ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch), descriptionTag) {
		res.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	res.SetBodyRaw(description)
	return nil
}
