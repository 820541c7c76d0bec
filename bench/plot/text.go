package plot

import (
	"encoding/xml"
	"strings"
	"unicode/utf8"
)

// textWidth is about the width of text of 14 px in the fonts of the pictures.
func textWidth(s string) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("iljtfrI.,:;'|()[]! ", r):
			w += 4.8
		case strings.ContainsRune("mwMW%@", r):
			w += 12.5
		default:
			w += 8.3
		}
	}
	return w
}

// captionWidth is how many letters of a caption are on a line.
const captionWidth = 118

// wrap breaks text at its line ends, and into lines of at most so many letters.
func wrap(text string, most int) (lines []string) {
	for part := range strings.SplitSeq(text, "\n") {
		line := ""
		for _, word := range strings.Fields(part) {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > most {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		lines = append(lines, line)
	}
	return lines
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}
