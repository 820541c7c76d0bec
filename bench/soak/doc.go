// Package soak runs the scenario mix for an hour on a small machine: the relay is in
// a control group of 512 MB and one core. Every few seconds it reads what the relay
// takes. At the end it says whether that stayed flat, and whether the memory that
// lives agrees with the memory that the relay counts.
//
// All that is read goes into one file as it comes, so a run that is cut off can be
// judged and drawn as far as it got.
package soak
