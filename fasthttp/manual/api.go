package manual

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// APIPath is where the description is served as a page.
const APIPath = "/openapi.html"

// Methods in the order of the page. What HEAD does, the text says once for all.
var methods = []string{"get", "post", "put", "patch", "delete"}

// api makes the page of an OpenAPI description.
type api struct {
	page
	tree
}

// API returns an OpenAPI description as a page. It is an error if it is none.
func API(description []byte) ([]byte, error) {
	t, err := parse(description)
	if err != nil {
		return nil, fmt.Errorf("cannot read the OpenAPI description: %w", err)
	}
	a := &api{tree: t}
	info := t.root.get("info")
	a.begin("API", APIPath)
	a.put("<h1>API</h1>\n<p class=\"lead\">", html.EscapeString(info.text("summary")), ` For programs: <a href="/openapi.yaml"><code>/openapi.yaml</code></a> (OpenAPI `, html.EscapeString(t.root.text("openapi")), ").</p>\n")
	a.prose(info.text("description"))
	tags := t.root.get("tags").items()
	for _, tag := range tags {
		name := tag.text("name")
		a.put(`<section aria-labelledby="tag-`, name, `"><h2 id="tag-`, name, `">`, html.EscapeString(capital(name)), "</h2>\n")
		a.prose(tag.text("description"))
		a.eachOperation(name, a.operation)
		a.put("</section>\n")
	}
	a.put("<section aria-labelledby=\"schemas\"><h2 id=\"schemas\">Schemas</h2>\n")
	for name, schema := range t.root.get("components", "schemas").members() {
		// A link to what is inside opens it.
		a.put(`<details><summary><code>`, name, `</code></summary><div id="schema-`, name, "\">\n")
		a.prose(schema.text("description"))
		a.put("<p>", a.kind(schema), "</p>\n")
		a.properties(schema)
		a.put("</div></details>\n")
	}
	a.put("</section>\n")
	return a.end(), nil
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func (a *api) prose(text string) {
	a.markdown([]byte(text), func(to string) string {
		if strings.HasPrefix(to, "#") || strings.HasPrefix(to, "/") {
			return to
		}
		return ""
	})
}

// eachOperation calls do for the operations that have the tag.
func (a *api) eachOperation(tag string, do func(path, method string, shared, op node)) {
	for path, item := range a.root.get("paths").members() {
		for _, method := range methods {
			op := item.get(method)
			if op.is() && slices.ContainsFunc(op.get("tags").items(), func(n node) bool { return n.string() == tag }) {
				do(path, method, item, op)
			}
		}
	}
}

func (a *api) operation(path, method string, shared, op node) {
	id := op.text("operationId")
	a.put(`<details><summary><code class="method">`, strings.ToUpper(method), `</code> <code>`, html.EscapeString(path), "</code> <span>", html.EscapeString(op.text("summary")), `</span></summary><div id="`, id, "\">\n")
	a.prose(op.text("description"))
	var ways []string
	for _, s := range op.get("security").items() {
		for name := range s.members() {
			ways = append(ways, "<code>"+html.EscapeString(name)+"</code>: "+html.EscapeString(a.root.get("components", "securitySchemes", name).text("description")))
		}
	}
	if len(ways) > 0 {
		a.put("<p><strong>Needs</strong> ", strings.Join(ways, " or "), "</p>\n")
	}
	a.parameters(append(shared.get("parameters").items(), op.get("parameters").items()...))
	if body := op.get("requestBody"); body.is() {
		a.put("<h3>Request body</h3>\n")
		a.prose(body.text("description"))
		a.content(body)
	}
	a.put("<h3>Replies</h3>\n<dl class=\"replies\">\n")
	for status, reply := range op.get("responses").members() {
		a.put("<div><dt><code>", status, "</code></dt><dd>")
		a.prose(reply.text("description"))
		if names := slices.Collect(reply.get("headers").names()); len(names) > 0 {
			a.put(`<p class="note">Headers: `, html.EscapeString(strings.Join(names, ", ")), "</p>\n")
		}
		a.content(reply)
		a.put("</dd></div>\n")
	}
	a.put("</dl>\n</div></details>\n")
}

func (a *api) parameters(list []node) {
	if len(list) == 0 {
		return
	}
	a.put(`<h3>Parameters</h3>`, "\n")
	a.table("name", "in", "type", "what it does")
	for _, p := range list {
		p = a.follow(p)
		name := "<code>" + html.EscapeString(p.text("name")) + "</code>"
		if p.text("required") == "true" {
			name += " <small>required</small>"
		}
		a.row(name, html.EscapeString(p.text("in")), a.kind(p.member("schema")), a.described(p, p.member("schema")))
	}
	a.put("</tbody></table></div>\n")
}

// described is the first description among the nodes, in one cell.
func (a *api) described(nodes ...node) string {
	for _, n := range nodes {
		if text := n.text("description"); text != "" {
			var p page
			p.markdown([]byte(text), func(string) string { return "" })
			return p.String()
		}
	}
	return ""
}

func (a *api) table(heads ...string) {
	a.put(`<div class="wide" tabindex="0" role="group" aria-label="Table"><table><thead><tr>`)
	for _, h := range heads {
		a.put("<th>", h, "</th>")
	}
	a.put("</tr></thead><tbody>\n")
}

func (a *api) row(cells ...string) {
	a.put("<tr>")
	for _, c := range cells {
		a.put("<td>", c, "</td>")
	}
	a.put("</tr>\n")
}

// content writes the kinds of a body, with an example of each.
func (a *api) content(of node) {
	for kind, c := range of.get("content").members() {
		a.put("<p><code>", html.EscapeString(kind), "</code> ", a.kind(c.member("schema")), "</p>\n")
		if !a.reference(c.member("schema")) {
			a.properties(c.member("schema"))
		}
		if e := c.get("example"); e.is() {
			a.put(`<div class="shell"><pre tabindex="0" aria-label="Example"><code>`, html.EscapeString(e.example()), "</code></pre></div>\n")
		}
	}
}

// properties writes the table of an object's members.
func (a *api) properties(schema node) {
	props := schema.get("properties")
	if !props.is() {
		return
	}
	var required []string
	for _, n := range schema.get("required").items() {
		required = append(required, n.string())
	}
	a.table("member", "type", "what it says")
	for name, s := range props.members() {
		cell := "<code>" + html.EscapeString(name) + "</code>"
		if slices.Contains(required, name) {
			cell += " <small>always</small>"
		}
		text := ""
		if !a.reference(s) {
			text = a.described(s)
		}
		a.row(cell, a.kind(s), text)
	}
	a.put("</tbody></table></div>\n")
}
