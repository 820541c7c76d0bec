// Package handles loads a relay's directory: claims of nicks with signed cards, and
// pages of the directory.
//
// Both begin with a full directory, which the scenario claims itself. The cards are
// signed before anything is measured: signing costs as much as what the relay does.
package handles
