package rendezvous

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Hostile invites, run by a real shell: the client gets each as one word, and
// nothing else runs.
func TestInviteScript_InARealShell(t *testing.T) {
	dir := t.TempDir()
	got := filepath.Join(dir, "got")
	stub := "#!/bin/sh\nprintf '%s\\n' \"$#\" \"$@\" > \"$GOT\"\n"
	if err := os.WriteFile(filepath.Join(dir, "wire"), []byte(stub), 0o755); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad")
	for _, tail := range []string{
		"v=1", "'", "''", `'\''`, "';touch " + bad + ";'", "$(touch " + bad + ")", "`touch " + bad + "`", `"$(touch ` + bad + `)"`,
		"&touch " + bad + "&", "|touch " + bad, ">" + bad, `\`, `\'`, "%s%n", "-n", "!!", "$HOME", "~", "*", "#", "{a,b}", "<(touch " + bad + ")",
	} {
		invite := "wire://pair?" + tail
		cmd := exec.Command("sh", "-s")
		cmd.Stdin = strings.NewReader(string(inviteScript(invite, "")))
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "GOT=" + got, "HOME=/nowhere"}
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", invite, err, out)
		}
		text, err := os.ReadFile(got)
		if want := "2\naccept-invite\n" + invite + "\n"; err != nil || string(text) != want {
			t.Errorf("%s: the client got %q, %v", invite, text, err)
		}
		os.Remove(got)
		if _, err := os.Stat(bad); err == nil {
			t.Fatalf("%s ran something", invite)
		}
	}
}

func TestInviteScript_WithoutAClient(t *testing.T) {
	dir := t.TempDir()
	run := func(installer string) (string, error) {
		cmd := exec.Command("/bin/sh", "-s")
		cmd.Stdin = strings.NewReader(string(inviteScript("wire://pair?v=1", installer)))
		cmd.Env = []string{"PATH=" + dir, "HOME=" + dir}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(""); err == nil || !strings.Contains(out, "not installed") {
		t.Errorf("no installer: %v\n%s", err, out)
	}
	// A stub of curl gives an installer that installs a stub of the client.
	curl := "#!/bin/sh\n[ \"$*\" = \"-fsSL -- https://install.example/it's\" ] || exit 22\n" +
		"echo \"printf '#!/bin/sh\\necho \\$*' > $HOME/wire && /bin/chmod +x $HOME/wire\"\n"
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte(curl), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Symlink("/bin/sh", filepath.Join(dir, "sh"))
	if out, err := run("https://install.example/other"); err == nil {
		t.Errorf("an installer that can't be had: no error\n%s", out)
	}
	if out, err := run("https://install.example/it's"); err != nil || out != "accept-invite wire://pair?v=1\n" {
		t.Errorf("installer: %v\n%s", err, out)
	}
}
