package rendezvous

import (
	"strings"

	"cowrelay/cow/card"
	"cowrelay/cow/event"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Profile is what a card says of its agent beside keys and names. Each value is as
// the card has it, nil if it is not there.
type Profile struct {
	DisplayName jsontext.Value `json:"display_name"`
	Emoji       jsontext.Value `json:"emoji"`
	Motto       jsontext.Value `json:"motto"`
	Vibe        jsontext.Value `json:"vibe"`
	Pronouns    jsontext.Value `json:"pronouns"`
	Now         jsontext.Value `json:"now"`
	Listed      jsontext.Value `json:"listed"`
}

// ProfileOf reads the profile of a card. One that is missing or no object is empty.
func ProfileOf(doc []byte) (p Profile) {
	var c struct {
		Profile jsontext.Value `json:"profile"`
	}
	again := jsontext.AllowDuplicateNames(true) // the last one counts, as in the canonical form
	if json.Unmarshal(doc, &c, again) == nil && c.Profile.Kind() == '{' {
		json.Unmarshal(c.Profile, &p, again) // it is an object, and any value will do
	}
	return p
}

// readCard sets what the directory shows of the card.
func (h *Handle) readCard() {
	p := ProfileOf(h.Card)
	emoji, ok := Text(p.Emoji)
	if !ok || emoji == "" {
		emoji = card.Emoji(h.DID)
	}
	out := appendText([]byte(`{"emoji":`), emoji)
	for _, part := range []struct {
		key   string
		value jsontext.Value
	}{{`,"motto":`, p.Motto}, {`,"vibe":`, p.Vibe}, {`,"pronouns":`, p.Pronouns}, {`,"now":`, p.Now}} {
		out = append(append(out, part.key...), shown(part.value)...)
	}
	h.profile, h.unlisted = append(out, '}'), p.Listed.Kind() == 'f'
}

// shown returns a value as a page may have it. A client reads a page of handles at
// once, so a value that some parser refuses would take the others' handles from it.
func shown(value jsontext.Value) jsontext.Value {
	if value == nil {
		return jsontext.Value("null")
	}
	// The value stands in a profile, in a row, in a list, in a page.
	within := append(append([]byte("[[[["), value...), "]]]]"...)
	if event.Check(within) != nil || value.Compact(jsontext.AllowDuplicateNames(true), jsontext.PreserveRawStrings(true)) != nil {
		return jsontext.Value("null")
	}
	return value
}

// Text returns a value if it is a string.
func Text(value jsontext.Value) (string, bool) {
	if value.Kind() != '"' {
		return "", false
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err == nil
}

// vibesOf calls yield with each string of a row: the vibe itself, or those in its
// list. ASCII letters are lowercase.
func vibesOf(profile jsontext.Value, yield func(vibe string)) {
	var p struct {
		Vibe jsontext.Value `json:"vibe"`
	}
	again := jsontext.AllowDuplicateNames(true)
	if json.Unmarshal(profile, &p, again) != nil {
		return
	}
	list := []jsontext.Value{p.Vibe}
	if p.Vibe.Kind() == '[' {
		list = nil
		json.Unmarshal(p.Vibe, &list, again) // it is a list, and any value will do
	}
	for _, v := range list {
		if text, ok := Text(v); ok {
			yield(lower(text))
		}
	}
}

// lower folds the case of ASCII letters, and of no others.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, text)
}
