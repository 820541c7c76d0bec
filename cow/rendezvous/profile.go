package rendezvous

import (
	"bytes"

	"cowrelay/cow/card"
	"cowrelay/cow/event"

	"github.com/go-json-experiment/json/jsontext"
)

// Profile is what a card says of its agent beside keys and names. Each value is a
// part of the card as it stands there, nil if it is not there.
type Profile struct {
	DisplayName, Emoji, Motto, Vibe, Pronouns, Now, Listed jsontext.Value
}

// ProfileOf reads the profile of a card. One that is missing or no object is empty.
func ProfileOf(doc []byte) Profile { return readProfile(memberOf(doc, "profile")) }

func readProfile(profile jsontext.Value) (p Profile) {
	if profile.Kind() != '{' {
		return p
	}
	for name, value := range event.Members(profile) {
		switch string(name) {
		case "display_name":
			p.DisplayName = value
		case "emoji":
			p.Emoji = value
		case "motto":
			p.Motto = value
		case "vibe":
			p.Vibe = value
		case "pronouns":
			p.Pronouns = value
		case "now":
			p.Now = value
		case "listed":
			p.Listed = value
		}
	}
	return p
}

// memberOf returns a member of an object, nil if it is not there. The last one counts,
// as in the canonical form.
func memberOf(doc []byte, key string) (member jsontext.Value) {
	for name, value := range event.Members(doc) {
		if string(name) == key {
			member = value
		}
	}
	return member
}

// usualProfile is more bytes than most profiles need on a page.
const usualProfile = 256

// show sets what the directory shows of the card, whose profile is p.
func (h *Handle) show(p Profile) {
	out := append(make([]byte, 0, usualProfile), `{"emoji":`...)
	if p.Emoji.Kind() == '"' && len(p.Emoji) > len(`""`) {
		out = append(out, p.Emoji...)
	} else {
		out = appendText(out, card.Emoji(h.DID))
	}
	out = appendShown(append(out, `,"motto":`...), p.Motto)
	out = appendShown(append(out, `,"vibe":`...), p.Vibe)
	out = appendShown(append(out, `,"pronouns":`...), p.Pronouns)
	out = appendShown(append(out, `,"now":`...), p.Now)
	h.profile, h.unlisted = append(out, '}'), p.Listed.Kind() == 'f'
}

// appendShown appends a value as a page may have it. A client reads a page of handles
// at once, so a value that some parser refuses would take the others' handles from it.
func appendShown(dst []byte, value jsontext.Value) []byte {
	switch kind := value.Kind(); {
	case kind == '"', kind == 't', kind == 'f', kind == 'n', areTexts(value): // what was read once suits every parser
		return append(dst, value...)
	case kind == '{', kind == '[', kind == '0':
		// The value stands in a profile, in a row, in a list, in a page.
		within := append(append(append(dst, "[[[["...), value...), "]]]]"...)[len(dst):]
		shown := jsontext.Value(within[4 : len(within)-4])
		if event.Check(within) == nil && shown.Compact(jsontext.AllowDuplicateNames(true), jsontext.PreserveRawStrings(true)) == nil {
			return append(dst, shown...)
		}
	}
	return append(dst, "null"...)
}

// areTexts says whether a value is a list of strings without white space between them,
// which most agents have as their vibe.
func areTexts(value jsontext.Value) bool {
	if value.Kind() != '[' {
		return false
	}
	size := len("[")
	for _, text := range event.Members(value) {
		if text.Kind() != '"' {
			return false
		}
		size += len(text) + len(",") // or the bracket behind the last one
	}
	return size == len(value)
}

// Text returns a value if it is a string.
func Text(value jsontext.Value) (string, bool) {
	if value.Kind() != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err == nil
}

// vibesOf calls yield with each string of a row: the vibe itself, or those in its
// list. ASCII letters are lowercase. The text is yield's only while it runs.
func vibesOf(profile jsontext.Value, yield func(vibe []byte)) {
	one := func(value jsontext.Value) {
		switch {
		case value.Kind() != '"':
		case bytes.ContainsAny(value, odd):
			if text, err := jsontext.AppendUnquote(nil, value); err == nil {
				lower(text)
				yield(text)
			}
		default:
			yield(value[1 : len(value)-1])
		}
	}
	vibe := memberOf(profile, "vibe")
	if vibe.Kind() != '[' {
		one(vibe)
		return
	}
	for _, value := range event.Members(vibe) {
		one(value)
	}
}

// odd are the characters of a JSON string that is not its own text in lowercase.
const odd = "\\ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// lower folds the case of ASCII letters, and of no others.
func lower(text []byte) {
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			text[i] = c + 'a' - 'A'
		}
	}
}
