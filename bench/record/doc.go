// Package record keeps what a long run sees: a file of JSON lines that is written as the
// run goes, and a verdict of bars at its end. bench/soak and bench/retention say what
// the lines are, and what must hold.
//
// An entry is a line. A record adds up entries, from the run or from the file, so a run
// that is cut off can be judged and drawn as far as it got.
package record
