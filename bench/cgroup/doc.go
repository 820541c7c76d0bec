// Package cgroup makes control groups of Linux, versions 1 and 2, in which a
// server runs with less memory and CPU time than the machine has, and reads what
// the group used.
package cgroup
