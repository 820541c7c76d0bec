// Package replaytest holds a log and a store in memory that fail on demand, and the
// suites that every log and every store of package replay passes.
package replaytest
