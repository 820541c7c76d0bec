package proc

import (
	"os"
	"strings"
	"testing"
)

func TestFitsFiles(t *testing.T) {
	if err := fitsFiles(320, 1024); err != nil {
		t.Error(err)
	}
	err := fitsFiles(2000, 1024)
	if err == nil || err.Error() != "this run needs 2000 open files and the limit is 1024: raise it (ulimit -n 2000) or use fewer connections" {
		t.Errorf("fitsFiles = %v", err)
	}
}

func TestServerFiles(t *testing.T) {
	const limits = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max cpu time              unlimited            unlimited            seconds   \n" +
		"Max open files            1024                 20000                files     \n"
	if n, err := parseOpenFiles([]byte(limits)); err != nil || n != 1024 {
		t.Errorf("parseOpenFiles = %d, %v", n, err)
	}
	if _, err := parseOpenFiles([]byte("Limit\n")); err == nil {
		t.Error("limits without open files gave no error")
	}
	if err := CheckFiles(os.Getpid(), 1); err != nil {
		t.Error(err)
	}
	if err := CheckFiles(os.Getpid(), 1<<40); err == nil || !strings.Contains(err.Error(), "its limit is") {
		t.Errorf("checkServerFiles = %v", err)
	}
}
