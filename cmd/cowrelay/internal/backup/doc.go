// Package backup is the commands that keep copies of a relay's store and bring them
// back: backup, backup list and restore.
//
// A backup is a folder of its own, named for the time of its start, in a folder that
// holds all of them. Tables of the store never change, so backups share those that
// they have in common, as hard links. A backup is made under a name that ends with
// .partial, and gets its own when it is whole and durable:
//
//	take.go     a backup of a running relay, over its admin listener
//	stopped.go  a backup of a stopped relay's folder
//	series.go   the backups in a folder: which there are, and which go
//	list.go     backup list
//	restore.go  restore
package backup
