// Package manual makes pages for browsers out of texts that the relay has with it:
// the OpenAPI description, and the chapters of the manual, which are Markdown. The
// pages need no script, and ask for nothing but the style sheet and the icon.
//
// It knows no HTTP. Its texts are the relay's own: one that it can't read is a bug.
package manual
