package fasthttp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// described is the description that every reply of the tests is held against.
// Its schemas are closed: a field of a reply that it does not name is an error
// here, while clients pass over it.
var described = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		panic(err)
	}
	open := map[string]bool{}
	var taken func(s *openapi3.SchemaRef)
	taken = func(s *openapi3.SchemaRef) {
		open[s.Ref] = true
		for _, p := range s.Value.Properties {
			taken(p)
		}
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody != nil {
				for _, media := range op.RequestBody.Value.Content {
					taken(media.Schema)
				}
			}
		}
	}
	for _, text := range []string{"text/event-stream", "text/html", "text/css", "text/javascript", "image/svg+xml", "text/x-shellscript", "application/x-ndjson"} {
		openapi3filter.RegisterBodyDecoder(text, openapi3filter.FileBodyDecoder)
	}
	no := false
	for name, s := range doc.Components.Schemas {
		if s.Value.Type.Is("object") && s.Value.AdditionalProperties.Schema == nil && !open["#/components/schemas/"+name] {
			s.Value.AdditionalProperties.Has = &no
		}
	}
	return doc
})

// describedPath returns the template that a path matches, "" if none, and what
// its parameters hold. A template without parameters goes first.
func describedPath(doc *openapi3.T, path string) (found string, params map[string]string) {
	for strings.HasPrefix(path, "//") {
		path = path[1:]
	}
	if doc.Paths.Value(path) != nil {
		return path, nil
	}
	parts := strings.Split(path, "/")
	best := -1 // how many names of the template are filled in
	for template := range doc.Paths.Map() {
		names := strings.Split(template, "/")
		if len(names) != len(parts) {
			continue
		}
		filled := map[string]string{}
		for i, name := range names {
			if inner, ok := strings.CutPrefix(name, "{"); ok && parts[i] != "" {
				filled[strings.TrimSuffix(inner, "}")] = parts[i]
			} else if name != parts[i] {
				filled = nil
				break
			}
		}
		if filled != nil && (best < 0 || len(filled) < best) { // the one that says most by itself
			best, found, params = len(filled), template, filled
		}
	}
	return found, params
}

// anywhere is what a request may get whatever its path is: from the server
// itself, and from routing.
var anywhere = []int{400, 404, 408, 429, 431, 500, 503}

// seenOften says whether a route gave this status many times. Under the race
// detector each check takes milliseconds, and the tests without it check all.
func seenOften(req *http.Request, res *http.Response) bool {
	if req.URL == nil {
		return false
	}
	template, _ := describedPath(described(), req.URL.EscapedPath())
	n, _ := oftenSeen.LoadOrStore(fmt.Sprint(req.Method, template, res.StatusCode), new(atomic.Int64))
	return n.(*atomic.Int64).Add(1) > 20
}

var oftenSeen sync.Map // method, path and status to *atomic.Int64

// checkDescribed holds a reply, and the request if it was served, against the
// description. req has no URL if it is not known or not to be read as one.
func checkDescribed(t testing.TB, req *http.Request, res *http.Response, body []byte) {
	t.Helper()
	if res.StatusCode == http.StatusContinue || testing.Short() && seenOften(req, res) {
		return
	}
	if err := describedError(req, res, body); err != nil {
		t.Errorf("openapi.yaml: %s %v: status %d: %v", req.Method, req.URL, res.StatusCode, err)
	}
}

func describedError(req *http.Request, res *http.Response, body []byte) error {
	doc := described()
	if req.URL == nil {
		return isError(doc, res, body, req.Method == http.MethodHead)
	}
	template, params := describedPath(doc, req.URL.EscapedPath())
	item := doc.Paths.Value(template)
	if item == nil {
		if !slices.Contains(anywhere, res.StatusCode) {
			return errors.New("the path is not described")
		}
		return isError(doc, res, body, req.Method == http.MethodHead)
	}
	op := item.Operations()[req.Method]
	if op == nil {
		if res.StatusCode != http.StatusMethodNotAllowed && !slices.Contains(anywhere, res.StatusCode) {
			return errors.New("the method is not described")
		}
		return isError(doc, res, body, req.Method == http.MethodHead)
	}
	response := op.Responses.Status(res.StatusCode)
	if response == nil {
		return errors.New("the status is not described")
	}
	if err := checkHeaders(response.Value, res); err != nil {
		return err
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, AuthenticationFunc: hasBearer, SkipSettingDefaults: true,
		ExcludeRequestBody:  req.GetBody == nil,
		ExcludeResponseBody: req.Method == http.MethodHead || res.Header.Get("Content-Encoding") != "",
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req.Clone(context.Background()), PathParams: params, Options: options,
		Route: &routers.Route{Spec: doc, Path: template, PathItem: item, Method: req.Method, Operation: op},
	}
	if res.StatusCode < 400 { // who was refused may have sent anything
		if req.GetBody != nil {
			in.Request.Body, _ = req.GetBody()
		}
		err := openapi3filter.ValidateRequest(context.Background(), in)
		if err != nil && !strings.Contains(err.Error(), "value out of range") { // of an int64, which nobody described
			return fmt.Errorf("the request was served: %w", err)
		}
	}
	in.Request.Method = http.MethodGet // replies to HEAD have headers too
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Options: options,
		Body: io.NopCloser(bytes.NewReader(body)),
	})
}

// isError checks a reply that belongs to no operation.
func isError(doc *openapi3.T, res *http.Response, body []byte, head bool) error {
	if res.StatusCode < 400 || head {
		return nil
	}
	name := "BadRequest" // others are like it
	switch res.StatusCode {
	case 401:
		name = "NoBearer"
	case 405:
		name = "MethodNotAllowed"
	case 429, 503, 507:
		name = "Unavailable"
	}
	response := doc.Components.Responses[name].Value
	if err := checkHeaders(response, res); err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: &http.Request{},
			Route: &routers.Route{Spec: doc, Operation: &openapi3.Operation{
				Responses: openapi3.NewResponses(openapi3.WithStatus(res.StatusCode, &openapi3.ResponseRef{Value: response})),
			}},
		},
		Status: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
	})
}

// checkHeaders: what is described as always there is there, and what is there is
// described, but for what HTTP itself needs.
func checkHeaders(response *openapi3.Response, res *http.Response) error {
	allowed := map[string]bool{"Date": true, "Connection": true, "Content-Type": true}
	for name, h := range response.Headers {
		allowed[http.CanonicalHeaderKey(name)] = true
		if h.Value.Required && res.Header.Get(name) == "" {
			return fmt.Errorf("no %s", name)
		}
	}
	for name := range res.Header {
		if !allowed[name] && !slices.Contains(anyReplies, name) {
			return fmt.Errorf("the header %s is not described", name)
		}
	}
	return nil
}

// anyReplies may be on any reply: of a relay with --cors-origins, TestCORS says on
// which; TestRequestID says when a reply names its request.
var anyReplies = []string{"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary", "X-Request-Id"}

func hasBearer(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	if in.SecurityScheme.Type == "apiKey" {
		if !in.RequestValidationInput.Request.URL.Query().Has(in.SecurityScheme.Name) {
			return errors.New("no ticket")
		}
		return nil
	}
	scheme, token, _ := strings.Cut(in.RequestValidationInput.Request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, in.SecurityScheme.Scheme) || token == "" {
		return errors.New("no bearer")
	}
	return nil
}

// outbox keeps what a bare connection sends, to read requests from it.
type outbox struct {
	mu   sync.Mutex
	sent []byte
	cut  bool // more was sent than is kept
}

const outboxBytes = 4 << 20

func (o *outbox) add(b []byte) {
	if o == nil { // a test that counts allocations
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut = o.cut || len(o.sent)+len(b) > outboxBytes; !o.cut {
		o.sent = append(o.sent, b...)
	}
}

// next returns the request that the next reply answers, and what is to be
// called when it is the last word. Of a request that is none, only the method
// that the caller knows is told.
func (o *outbox) next(method string) (req *http.Request, done func()) {
	if o == nil {
		return &http.Request{Method: method}, func() {}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	in := bytes.NewReader(o.sent)
	br := bufio.NewReader(in)
	req, err := http.ReadRequest(br)
	if err != nil || (req.Method == "HEAD") != (method == "HEAD") {
		o.cut = true // nobody can say where the next one begins
		o.sent = nil
		return &http.Request{Method: method}, func() {}
	}
	body, err := io.ReadAll(req.Body)
	if req.Body = http.NoBody; err == nil {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	rest := in.Len() + br.Buffered()
	used := len(o.sent) - rest
	return req, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.sent = o.sent[min(used, len(o.sent)):]
	}
}
