// Package proc starts servers as processes of their own, ends them, and reads
// what they use: CPU time, memory, open files, sockets in TIME_WAIT.
//
// It ends only processes that it started, by their id. It reads /proc and runs
// on Linux only.
package proc
