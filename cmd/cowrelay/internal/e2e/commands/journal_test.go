package commands

import (
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// The flags of one journal with the other are faults that say so, and no fault shows
// what lets in.
func TestConfig_Journal(t *testing.T) {
	shared := []string{"--journal=jetstream", "--nats-url=nats://10.0.0.1:4222", "--trust-nats-sync"}
	with := func(more ...string) []string { return append(append([]string{}, shared...), more...) }
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{shared, 0, ""},
		{with("--sync=off"), 0, "--sync (--sync): it is for --journal file"},
		{[]string{"--journal=paper"}, 2, "it is file or jetstream"},
		{[]string{"--nats-url=nats://10.0.0.1:4222"}, 2, "--nats-url (--nats-url): it is for --journal jetstream"},
		{[]string{"--trust-nats-sync"}, 2, "--trust-nats-sync (--trust-nats-sync): it is for --journal jetstream"},
		{[]string{"--relay-name=a"}, 2, "--relay-name (--relay-name): it is for --journal jetstream"},
		{[]string{"--journal=jetstream", "--trust-nats-sync"}, 2, "give the servers with --nats-url"},
		{shared[:2], 2, "give --nats-monitor, or --trust-nats-sync"},
		{append(shared[:2:2], "--trust-nats-sync", "--nats-cert=/a.pem"), 2, "--nats-cert (--nats-cert): give its key with --nats-key"},
		{append(shared[:2:2], "--trust-nats-sync", "--nats-key=/a.key"), 2, "--nats-key (--nats-key): give its certificate with --nats-cert"},
		{append(shared[:2:2], "--nats-monitor=http://10.0.0.1:8222"), 2, "1 URLs, and the log is kept by 3 servers"},
		{append(shared[:2:2], "--nats-monitor=http://10.0.0.1:8222", "--nats-replicas=1"), 0, ""},
		{with("--nats-monitor=http://10.0.0.1:8222"), 2, "one says to ask the servers, the other not to"},
		{with("--nats-url=http://10.0.0.1"), 2, "URLs such as nats://"},
		{with("--nats-url=nats://a,nats://a"), 2, "stands there twice"},
		{with("--nats-url=nats://me:hunter22@10.0.0.1,nats://hunter22@b"), 0, ""},
		{with("--nats-url=hunter22@10.0.0.1"), 2, `"***@10.0.0.1"`},
		{with("--nats-url=nats://me:hunter22@10.0.0.1/?x"), 2, `"nats://***@10.0.0.1/?x"`},
		{with("--nats-url=nats://me:hunt%er22@hunter22@10.0.0.1"), 2, `"nats://***@10.0.0.1"`},
		{with("--nats-stream=a.b"), 2, "letters, digits, dashes"},
		{with("--nats-replicas=2"), 2, "it is 1, 3 or 5"},
		{with("--relay-name=a/b"), 2, "1 to 63 letters"},
		{with("--nats-keep=0s"), 2, "at least 1s"},
	} {
		out, errs, code := relaytest.Command(t, nil, append([]string{"check-config"}, c.args...)...)
		if code != c.code {
			t.Errorf("%v: exit %d\n%s%s", c.args, code, out, errs)
		}
		relaytest.Contains(t, errs, c.says)
		if strings.Contains(out+errs, "hunter22") {
			t.Errorf("%v shows the password: %s%s", c.args, out, errs)
		}
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--join=http://10.0.0.1:9770"}, "--join: it is for --journal jetstream"},
		{[]string{"--join-token-file=x"}, "--join-token-file: it is for --join"},
		{with("--join=ftp://10.0.0.1"), "--join: it is the URL"},
		{with("--join=http://10.0.0.1", "--join-token-file=/nowhere/token"), "--join-token-file: "},
		{with("--leave-fleet"), "--leave-fleet: it is for --journal file"},
	} {
		_, errs, code := relaytest.Command(t, nil, append([]string{"serve", "--data-dir=/nowhere/data"}, c.args...)...)
		if code != 2 {
			t.Errorf("%v: exit %d\n%s", c.args, code, errs)
		}
		relaytest.Contains(t, errs, c.says)
	}
}
