// Package plot draws results as SVG pictures, in two themes each.
//
// The pictures are drawn here and not by a library. Of those that know whiskers
// and logarithmic axes at all, gonum.org/v1/plot labels nothing within a
// decade, sets its text in a font that readers may lack, and would bring eight
// modules to the server's go.mod. The chart packages know neither. What is
// needed are rows (rows.go) and lines (lines.go) over an axis (axis.go).
//
// The same results always give the same bytes, so that a picture changes in the
// history only when its figures do.
package plot
