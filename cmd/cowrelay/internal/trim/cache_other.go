//go:build !linux

package trim

import "errors"

// dropCache is for control groups, which are Linux's.
func dropCache(string) error { return errors.ErrUnsupported }
