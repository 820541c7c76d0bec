package manual

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tree is a parsed description.
type tree struct{ root node }

// node is a part of a description. References are followed by get and members, so
// that callers see what they point at. The zero node is none.
type node struct {
	y    *yaml.Node
	root *yaml.Node
}

func parse(description []byte) (tree, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(description, &doc); err != nil {
		return tree{}, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return tree{}, errors.New("it is no object")
	}
	root := doc.Content[0]
	t := tree{node{root, root}}
	if !t.root.get("info").is() || !t.root.get("paths").is() {
		return tree{}, errors.New("it has no info or no paths")
	}
	return t, nil
}

func (n node) is() bool { return n.y != nil }

// plain follows YAML's aliases, not the description's references.
func (n node) plain() *yaml.Node {
	y := n.y
	for y != nil && y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	return y
}

// member returns a member as it stands.
func (n node) member(name string) node {
	y := n.plain()
	if y == nil || y.Kind != yaml.MappingNode {
		return node{}
	}
	for i := 0; i+1 < len(y.Content); i += 2 {
		if y.Content[i].Value == name {
			return node{y.Content[i+1], n.root}
		}
	}
	return node{}
}

// get returns a member of a member of the node, as many as are named, without
// references.
func (n node) get(names ...string) node {
	for _, name := range names {
		n = follow(follow(n).member(name))
	}
	return n
}

// follow returns what a reference points at, and any other node as it is.
func follow(n node) node {
	for range 10 { // a circle ends
		to := n.member("$ref")
		if !to.is() {
			return n
		}
		n = node{n.root, n.root}
		for name := range strings.SplitSeq(strings.TrimPrefix(to.string(), "#/"), "/") {
			n = n.member(name)
		}
	}
	return node{}
}

func (tree) follow(n node) node { return follow(n) }

// members are those of an object, in the order of the description.
func (n node) members() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		y := follow(n).plain()
		if y == nil || y.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(y.Content); i += 2 {
			v := node{y.Content[i+1], n.root}
			if !v.isReferenceToSchema() {
				v = follow(v)
			}
			if !yield(y.Content[i].Value, v) {
				return
			}
		}
	}
}

func (n node) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range n.members() {
			if !yield(name) {
				return
			}
		}
	}
}

func (n node) items() (list []node) {
	if y := follow(n).plain(); y != nil && y.Kind == yaml.SequenceNode {
		for _, v := range y.Content {
			list = append(list, node{v, n.root})
		}
	}
	return list
}

func (n node) string() string {
	if y := n.plain(); y != nil && y.Kind == yaml.ScalarNode {
		return y.Value
	}
	return ""
}

// text is the string of a member, "" if there is none.
func (n node) text(name string) string { return n.get(name).string() }

const schemaPrefix = "#/components/schemas/"

func (n node) isReferenceToSchema() bool {
	return strings.HasPrefix(n.member("$ref").string(), schemaPrefix)
}

// example is a value as a client sees it: text as it is, all else as JSON.
func (n node) example() string {
	if y := n.plain(); y.Kind == yaml.ScalarNode && y.Tag == "!!str" {
		return y.Value
	}
	var v any
	if err := n.plain().Decode(&v); err != nil {
		return ""
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}

// reference says whether a schema stands elsewhere, under a name.
func (tree) reference(schema node) bool { return schema.isReferenceToSchema() }

// kind says in a few words what a schema takes. It is markup.
func (t tree) kind(s node) string {
	if !s.is() {
		return ""
	}
	if s.isReferenceToSchema() {
		name := html.EscapeString(strings.TrimPrefix(s.member("$ref").string(), schemaPrefix))
		return `<a href="#schema-` + name + `">` + name + `</a>`
	}
	var types []string
	if one := s.text("type"); one != "" {
		types = []string{one}
	}
	for _, n := range s.get("type").items() {
		types = append(types, n.string())
	}
	text := html.EscapeString(strings.Join(types, " or "))
	if items := s.member("items"); items.is() {
		text = strings.Replace(text, "array", "array of "+t.kind(items), 1)
	}
	if more := s.member("additionalProperties"); more.plain() != nil && more.plain().Kind == yaml.MappingNode {
		text += " of " + t.kind(more)
	}
	for word, joint := range map[string]string{"oneOf": " or ", "anyOf": " or ", "allOf": " and "} {
		var parts []string
		for _, n := range s.get(word).items() {
			parts = append(parts, t.kind(n))
		}
		if len(parts) > 0 {
			text = strings.TrimSpace(text + " " + strings.Join(parts, joint))
		}
	}
	var values []string
	for _, n := range s.get("enum").items() {
		values = append(values, "<code>"+html.EscapeString(n.string())+"</code>")
	}
	if c := s.member("const"); c.is() {
		values = append(values, "<code>"+html.EscapeString(strings.TrimSpace(c.string()))+"</code>")
	}
	if len(values) > 0 {
		text = strings.TrimSpace(text + " " + strings.Join(values, ", "))
	}
	return text + bounds(s)
}

// bounds are the limits of a schema, in brackets.
func bounds(s node) string {
	var list []string
	for _, b := range [][2]string{
		{"minimum", "at least "}, {"maximum", "at most "}, {"minLength", "length at least "}, {"maxLength", "length at most "},
		{"minItems", "items at least "}, {"maxItems", "items at most "}, {"default", "else "}, {"format", ""},
	} {
		if v := s.text(b[0]); v != "" {
			list = append(list, b[1]+html.EscapeString(v))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " <small>(" + strings.Join(list, ", ") + ")</small>"
}
