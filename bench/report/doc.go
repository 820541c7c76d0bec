// Package report says what rounds came to: the result of a load, the line that
// is printed, the JSON that is stored, the machine it ran on, and profiles with
// their notes.
//
// The relay's rounds and those of the other side are compared in pairs, round
// by round, and the result is the median of the ratios with the smallest and
// the largest. The rounds of a pair run one after the other. So what the
// machine did at that time is in both, and a machine that drifts drifts for
// both.
//
// The format of the JSON is read by others and by package plot: fields are
// added and never renamed.
package report
