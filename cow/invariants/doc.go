// Package invariants holds the checks that a build makes of itself as it runs.
// They are on under the build tag invariants and under the race detector, and
// cost nothing elsewhere.
package invariants
