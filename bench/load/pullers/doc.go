// Package pullers is the pulling half of saturation, as a process of its own:
// in the generator's process the pullers would hold up its posters, and the
// posts would measure the generator's own scheduler. For batch-beside its workers
// post batches in the place of pulls.
//
// The two processes speak JSON lines over the child's standard input and
// output:
//
//	generator                      pullers
//	Task          ------------->   reads the slot back
//	              <-------------   Report
//	Order "start" ------------->   pulls
//	              <-------------   Report
//	Order "report", "stop" ...     a Report for each
//	end of input  ------------->   ends
package pullers
