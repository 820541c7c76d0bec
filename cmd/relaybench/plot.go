package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"cowrelay/bench/plot"
	"cowrelay/bench/report"
)

// plotCommand draws results that were written by --out or --json.
const plotCommand = "plot"

// drawResults runs `relaybench plot RESULTS.jsonl... --out DIR`.
func drawResults(args []string, stdout, stderr io.Writer) int {
	files, out, err := parsePlot(args)
	switch {
	case errors.Is(err, errHelp):
		printHelp(stdout)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "relaybench plot: wrong usage:\n%v\nrelaybench --help explains\n", err)
		return exitUsage
	}
	drawn, err := plotFiles(files, out)
	for _, name := range drawn {
		fmt.Fprintln(stdout, name)
	}
	if err != nil {
		fmt.Fprintln(stderr, "relaybench plot:", err)
		return exitError
	}
	return exitOK
}

func parsePlot(args []string) (files []string, out string, err error) {
	fs := flag.NewFlagSet("relaybench plot", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&out, "out", "", "")
	for len(args) > 0 {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, "", errHelp
		} else if err != nil {
			return nil, "", err
		}
		if args = fs.Args(); len(args) > 0 {
			files, args = append(files, args[0]), args[1:]
		}
	}
	var errs []error
	if len(files) == 0 {
		errs = append(errs, errors.New("no results: want files of JSON lines, as --out writes them"))
	}
	if out == "" {
		errs = append(errs, errors.New("out: want the folder that the pictures go to"))
	}
	return files, out, errors.Join(errs...)
}

func plotFiles(files []string, out string) ([]string, error) {
	var all []report.Result
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		rs, err := report.ReadResults(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, rs...)
	}
	return plot.Draw(out, all)
}
