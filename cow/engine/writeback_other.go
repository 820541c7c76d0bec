//go:build !linux

package engine

import "os"

func writeBack(*os.File, int64, int64) {}
