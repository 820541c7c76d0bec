package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"

	"cowrelay/bench/model"
)

// modelCommand is the word for the model of cells.
const modelCommand = "model"

const modelHelp = `relaybench model works out what a fleet of cells costs and where it breaks first.
A cell is relays that share one log; each of them stores all slots of the cell.
It measures nothing: its inputs are flags, and the defaults of what was measured
are from bench/results, on two cores.

Usage:
  relaybench model [flags]

The plan:
  --relays N          relays of all cells (default %.0f)
  --slots N           slots of all cells (default %.0f)
  --sizes LIST        relays a cell, to compare (default 2,3,5,10,20,50)

What users do:
  --posts N           events posted to a slot a day (default %.0f)
  --pulls N           pulls of a slot a day (default %.0f)
  --online X          share of slots that are streamed at any moment (default %v)
  --hot X             share of slots that are in memory at any moment (default %v)
  --hot-bytes N       memory of such a slot (default %.0f)
  --event-bytes N     bytes of an event (default %.0f)
  --keep-days N       how long an event is kept (default %.0f)
  --peak X            the busiest second to the mean of the day (default %.0f)

What was measured:
  --slot-bytes N      memory of a cold slot (default %.0f)
  --stream-bytes N    memory of a stream (default %.0f)
  --log-rate N        events a second that one log takes (default %.0f)
  --replay-rate N     events a second that a relay replays (default %.0f)
  --pull-rate N       pulls a second that a relay answers (default %.0f)
  --stored-extra N    bytes of an event in the store, beside its own (default %.0f)
  --log-extra N       bytes of an event in the log, beside its own (default %.0f)
  --open-rate N       slots a second that a relay reads when it starts (default %.0f)

What a machine has:
  --memory N          bytes of memory of a relay (default %.0f)
  --disk N            bytes of disk of a relay (default %.0f)
  --server-disk N     bytes of disk of a server of the log (default %.0f)
  --net N             bytes a second that a machine moves (default %.0f)
  --log-hours N       how long the log reaches back (default %.0f)
  --full X            share of anything that may be used (default %v)

Exit status: 0, or 2 for wrong usage.
`

// modelFlags binds the flags to in.
func modelFlags(in *model.Inputs) *flag.FlagSet {
	fs := flag.NewFlagSet("relaybench model", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, f := range modelInputs(in) {
		fs.Float64Var(f.to, f.name, *f.to, "")
	}
	fs.Func("sizes", "", func(s string) error { return list(&in.Sizes, s, strconv.Atoi) })
	return fs
}

// modelInput is an input that is a number.
type modelInput struct {
	name string
	to   *float64
}

// modelInputs are in the order in which the help names them.
func modelInputs(in *model.Inputs) []modelInput {
	return []modelInput{
		{"relays", &in.Relays}, {"slots", &in.Slots},
		{"posts", &in.Posts}, {"pulls", &in.Pulls}, {"online", &in.Online}, {"hot", &in.Hot}, {"hot-bytes", &in.HotBytes},
		{"event-bytes", &in.EventBytes}, {"keep-days", &in.KeepDays}, {"peak", &in.Peak},
		{"slot-bytes", &in.SlotBytes}, {"stream-bytes", &in.StreamBytes}, {"log-rate", &in.LogRate}, {"replay-rate", &in.ReplayRate},
		{"pull-rate", &in.PullRate}, {"stored-extra", &in.StoredExtra}, {"log-extra", &in.LogExtra}, {"open-rate", &in.OpenRate},
		{"memory", &in.Memory}, {"disk", &in.Disk}, {"server-disk", &in.ServerDisk}, {"net", &in.Net}, {"log-hours", &in.LogHours}, {"full", &in.Full},
	}
}

// workOut runs `relaybench model`.
func workOut(args []string, stdout, stderr io.Writer) int {
	in := model.Defaults()
	fs := modelFlags(&in)
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		var defaults []any
		standard := model.Defaults()
		for _, f := range modelInputs(&standard) {
			defaults = append(defaults, *f.to)
		}
		fmt.Fprintf(stdout, modelHelp, defaults...)
		return exitOK
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("%q: want flags only", fs.Arg(0))
	}
	if err == nil {
		err = in.Check()
	}
	if err != nil {
		fmt.Fprintf(stderr, "relaybench model: wrong usage:\n%v\nrelaybench model --help explains\n", err)
		return exitUsage
	}
	fmt.Fprint(stdout, model.Table(in.Cells()))
	return exitOK
}
