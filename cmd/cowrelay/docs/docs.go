// Package docs is the manual. The relay serves it to browsers.
package docs

import "embed"

// Chapters are the manual's files.
//
//go:embed *.md
var Chapters embed.FS
