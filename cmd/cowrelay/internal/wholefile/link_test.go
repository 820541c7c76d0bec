package wholefile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A link that another user may have prepared in a shared folder is not followed.
func TestExport_LinkOfAnotherUser(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	shared := func(mode fs.FileMode, owner int) error {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(link, owner, -1); err != nil {
			t.Logf("as this user a link can't be given to another one: %v", err)
			return nil
		}
		_, err := Replaceable(link)
		return err
	}
	me := os.Geteuid()
	for _, mode := range []fs.FileMode{0o700, 0o777 | fs.ModeSticky} {
		if err := shared(mode, me); err != nil {
			t.Errorf("our own link: %v", err)
		}
	}
	if me == 0 {
		if err := shared(0o777|fs.ModeSticky, 65534); err == nil || !strings.Contains(err.Error(), "not followed") {
			t.Errorf("the link of another user: %v", err)
		}
	}
}
