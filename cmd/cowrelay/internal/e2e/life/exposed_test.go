package life

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// check-config and the log of a start warn of what others can reach, and of nothing
// else.
func TestExposed(t *testing.T) {
	dir := t.TempDir()
	data, token := filepath.Join(dir, "data"), filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--data-dir=" + data, "--admin-token-file=" + token}
	const (
		write, look  = "others can write to the data folder", "others can look into the data folder"
		change, read = "others can change the admin token", "others can read the admin token"
	)
	for _, c := range []struct {
		data, token fs.FileMode // 0: it is not there
		says        []string
	}{
		{0, 0o600, nil},
		{0o700, 0o400, nil},
		{0o777, 0o644, []string{write, read}},
		{0o770, 0o660, []string{write, change}},
		{0o755, 0o440, []string{look, read}},
		{0o710, 0o600, []string{look}},
		{0o702, 0o602, []string{write, change}},
	} {
		if c.data != 0 {
			if err := os.MkdirAll(data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(data, c.data); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(token, c.token); err != nil {
			t.Fatal(err)
		}
		out, errs, code := relaytest.Command(t, nil, append([]string{"check-config"}, flags...)...)
		if code != 0 || !strings.Contains(out, "configuration ok") || strings.Count(errs, "\n") != len(c.says) {
			t.Errorf("%04o %04o: exit %d, %q", c.data, c.token, code, errs)
		}
		relaytest.Contains(t, errs, c.says...)
	}
	os.Chmod(data, 0o777)
	r := relaytest.Start(t, data, flags[1])
	r.Stop()
	for _, says := range []string{write, change} {
		line := ""
		for l := range strings.Lines(r.Log.String()) {
			if strings.Contains(l, says) {
				line += l
			}
		}
		relaytest.Contains(t, line, `"level":"WARN"`, `"do":"chmod `)
	}
}
