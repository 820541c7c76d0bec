package stats

import (
	"bytes"
	"os"
	"strconv"
)

// residentBytes returns how much of the process is in RAM, or noValue.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return noValue
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return noValue
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return noValue
	}
	return pages * int64(os.Getpagesize())
}
