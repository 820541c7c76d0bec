//go:build race

package engine

// raceEnabled: tests look at fewer cases, at a tenth of the speed.
const raceEnabled = true
