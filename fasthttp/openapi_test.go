package fasthttp

import "testing"

// Who has the description is told so.
func TestOpenAPI_ServedOnce(t *testing.T) {
	g := newRig(t)
	r := g.call("GET", "/openapi.yaml", "", nil).want(t, 200)
	tag := r.header.Get("ETag")
	if r.body != string(description) || r.header.Get("Content-Type") != "application/yaml" || tag == "" {
		t.Fatalf("%d bytes, %v", len(r.body), r.header)
	}
	for _, list := range []string{tag, "W/" + tag, `"x", ` + tag} {
		for _, method := range []string{"GET", "HEAD"} {
			r := g.call(method, "/openapi.yaml", "", nil, "If-None-Match", list).want(t, 304)
			if r.body != "" || r.header.Get("ETag") != tag {
				t.Errorf("%s with %s: %q, %v", method, list, r.body, r.header)
			}
		}
	}
	g.call("GET", "/openapi.yaml", "", nil, "If-None-Match", `"x"`).want(t, 200)
}
