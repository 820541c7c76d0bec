// Package model says what a fleet of cells costs and where it breaks first. A cell is
// relays that share one log; each of them stores all slots of the cell. All inputs are
// stated: what users do, what a machine has, and what was measured.
package model
