// Package flight lets many requests share few loads. All who want the same thing
// wait for one load of it (group.go), few loads run at once, clients take turns
// (line.go), and every wait has an end (pool.go).
//
// It knows nothing of what is loaded.
package flight
