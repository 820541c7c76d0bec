package refusal

import (
	"bytes"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var (
	noJSON     = &Reply{Status: http.StatusBadRequest, Text: "the body is not JSON"}
	wrongShape = &Reply{Status: http.StatusUnprocessableEntity, Text: "the body has the wrong shape"}
)

// Decode reads the small, strict JSON document of a request into v. An error in
// the text is 400, a document of another shape is 422.
func Decode(body []byte, v any) error {
	if !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true)) {
		return noJSON
	}
	if err := json.Unmarshal(body, v); err != nil {
		return wrongShape
	}
	return nil
}

// IsJSON accepts application/json and application/*+json, with parameters.
func IsJSON(contentType []byte) bool {
	media := mediaType(contentType)
	const whole, prefix, suffix = "application/json", "application/", "+json"
	if bytes.EqualFold(media, []byte(whole)) {
		return true
	}
	return len(media) > len(prefix)+len(suffix) &&
		bytes.EqualFold(media[:len(prefix)], []byte(prefix)) &&
		bytes.EqualFold(media[len(media)-len(suffix):], []byte(suffix))
}

// IsLines accepts application/x-ndjson, with parameters.
func IsLines(contentType []byte) bool {
	return bytes.EqualFold(mediaType(contentType), []byte("application/x-ndjson"))
}

// mediaType is a content type without its parameters.
func mediaType(contentType []byte) []byte {
	media, _, _ := bytes.Cut(contentType, []byte{';'})
	return bytes.TrimSpace(media)
}
