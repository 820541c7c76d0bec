package commands

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// execUser has a slot in the default profile, and a file that commands write to.
func execUser(t *testing.T, args ...string) (*user, *relaytest.Relay, string) {
	r := relaytest.Start(t, t.TempDir(), args...)
	u := newUser(t, r, "OUT="+filepath.Join(t.TempDir(), "out"))
	u.run(0, "", "slot", "new", "--save", "default")
	return u, r, strings.TrimPrefix(u.env[len(u.env)-1], "OUT=")
}

func fileText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// waitFile waits until a file holds so many lines.
func waitFile(t *testing.T, name string, lines int) string {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		text := fileText(t, name)
		if strings.Count(text, "\n") >= lines {
			return text
		}
		if time.Now().After(end) {
			t.Fatalf("%s has no %d lines: %.500s", name, lines, text)
		}
	}
}

// A command gets the event as it was posted, and knows which one it is. An id can't
// get into the command's text, whatever it holds.
func TestExec_WhatACommandGets(t *testing.T) {
	u, _, out := execUser(t)
	u.run(0, "", "post", `{"event_id":"a","n":1.0}`, `{"n":2}`, `{"event_id":"$(touch $OUT.bad); \u0000"}`, `{"event_id":"`+"`touch $OUT.bad`"+` \"'"}`)
	stdout, _ := u.run(0, "", "tail", "--exec", `printf '%s|%s|' "$COWRELAY_POSITION" "${COWRELAY_EVENT_ID-none}" >> $OUT; cat >> $OUT; echo said`)
	u.equal(stdout, strings.Repeat("said\n", 4))
	u.equal(fileText(t, out), `0|a|{"event_id":"a","n":1.0}`+"\n"+`1||{"n":2}`+"\n"+`2|none|{"event_id":"$(touch $OUT.bad); \u0000"}`+"\n"+
		"3|`touch $OUT.bad` \"'|"+`{"event_id":"`+"`touch $OUT.bad`"+` \"'"}`+"\n")
	if _, err := os.Stat(out + ".bad"); err == nil {
		t.Error("an event's id was run")
	}
	// The command can answer into the same slot, and need not read its input.
	u.run(0, "", "tail", "-n", "1", "--exec", fmt.Sprintf(`%s post '{"event_id":"answer"}'`, relaytest.Binary))
	stdout, _ = u.run(0, "", "tail", "-n", "1")
	u.equal(stdout, `{"event_id":"answer"}`+"\n")
	// What it leaves in the background is not waited for.
	start := time.Now()
	u.run(0, "", "tail", "-n", "1", "--exec", `sleep 60 <&0 >/dev/null 2>&1 & true`)
	if took := time.Since(start); took > 50*time.Second {
		t.Errorf("it waited for %v", took)
	}
}

// Commands are slower than the stream, whose writer the relay cuts for it: nothing
// is lost, nothing is done twice, and the order is kept.
func TestExec_SlowCommandsLoseNothing(t *testing.T) {
	u, r, out := execUser(t, "--stream-write-timeout=300ms")
	const n = 150
	tail := u.follow(nil, "tail", "-n", "0", "-f", "--queue", "1", "--count", fmt.Sprint(n), "--exec", `[ "$COWRELAY_POSITION" != 5 ] || sleep 4; wc -c >> $OUT; echo "$COWRELAY_EVENT_ID" >> $OUT.ids`)
	for r.Metric("cowrelay_streams") < 1 {
		time.Sleep(10 * time.Millisecond)
	}
	var in, want strings.Builder
	for i := range n {
		fmt.Fprintf(&in, `{"event_id":"%d","x":"%s"}`+"\n", i, strings.Repeat("x", 200_000))
		fmt.Fprintf(&want, "%d\n", i)
	}
	u.run(0, in.String(), "post", "-")
	if err := <-tail.done; err != nil {
		t.Fatalf("%v\n%s", err, tail.errs.String())
	}
	u.equal(fileText(t, out+".ids"), want.String())
	if n := r.Metric("cowrelay_streams_opened_total"); n < 2 {
		t.Errorf("the stream was not cut: %v were opened", n)
	}
	for i, size := range strings.Fields(fileText(t, out)) {
		if exact := len(fmt.Sprintf(`{"event_id":"%d","x":""}`, i)) + 200_001; size != fmt.Sprint(exact) {
			t.Errorf("event %d has %s bytes, want %d", i, size, exact)
		}
	}
}

// A command that fails ends the tail, and the next run begins with its event.
func TestExec_FailureAndResume(t *testing.T) {
	u, _, out := execUser(t)
	for i := range 6 {
		u.run(0, "", "post", fmt.Sprintf(`{"event_id":"%d"}`, i))
	}
	place := filepath.Join(t.TempDir(), "place")
	run := `[ "$COWRELAY_EVENT_ID" != 3 ] || [ -e $OUT.ok ] || exit 7; echo "$COWRELAY_EVENT_ID" >> $OUT`
	_, errs := u.run(1, "", "tail", "-n", "-1", "--exec", run, "--resume", place)
	relaytest.Contains(t, errs, `the event at position 3, event_id "3"`, "exit status 7")
	u.equal(fileText(t, out), "0\n1\n2\n")
	u.run(1, "", "tail", "-f", "--exec", run, "--resume", place)
	u.equal(fileText(t, out), "0\n1\n2\n")
	if err := os.WriteFile(out+".ok", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	u.run(0, "", "tail", "-n", "1", "--exec", run, "--resume", place)
	u.equal(fileText(t, out), "0\n1\n2\n3\n4\n5\n")
	u.run(0, "", "tail", "--exec", run, "--resume", place)
	u.equal(fileText(t, out), "0\n1\n2\n3\n4\n5\n")

	_, errs = u.run(1, "", "tail", "--keep-going", "--exec", `[ "$COWRELAY_EVENT_ID" -ge 3 ] && echo k"$COWRELAY_EVENT_ID" >> $OUT`)
	relaytest.Contains(t, errs, `event_id "0"`, `event_id "2"`, "3 commands failed")
	u.equal(fileText(t, out), "0\n1\n2\n3\n4\n5\nk3\nk4\nk5\n")

	_, errs = u.run(1, "", "tail", "--exec", "[ $COWRELAY_POSITION != 2 ]")
	relaytest.Contains(t, errs, `event_id "2": exit status 1; to go on behind it: --from 3`)

	// Of several at once, the place stays before the first that is not done.
	place += "2"
	u.run(1, "", "tail", "-n", "-1", "--parallel", "3", "--exec", `[ "$COWRELAY_EVENT_ID" != 0 ] || { sleep 2; exit 1; }; echo p >> $OUT`, "--resume", place)
	if _, err := os.Stat(place); err == nil {
		t.Errorf("a place behind an event that is not done: %s", fileText(t, place))
	}

	// A file of another slot, and one that is something else.
	u.run(0, "", "slot", "new", "--save", "other")
	_, errs = u.run(1, "", "tail", "--profile", "other", "--resume", strings.TrimSuffix(place, "2"))
	relaytest.Contains(t, errs, "holds a place in slot")
	_, errs = u.run(1, "", "tail", "--resume", out)
	relaytest.Contains(t, errs, "is no file of a place")
}

// A signal lets the command end that runs, and no other begins. The next run goes on
// with the event behind it. A second signal ends the command too.
func TestExec_Signals(t *testing.T) {
	u, _, out := execUser(t)
	u.run(0, "{\"event_id\":\"0\"}\n{\"event_id\":\"1\"}\n{\"event_id\":\"2\"}\n", "post", "-")
	place := filepath.Join(t.TempDir(), "place")
	slow := `echo "begin $COWRELAY_EVENT_ID" >> $OUT; sleep 2; echo "end $COWRELAY_EVENT_ID" >> $OUT`
	for i, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		tail := u.follow(nil, "tail", "-n", "-1", "-f", "--exec", slow, "--resume", place)
		waitFile(t, out, 2*i+1)
		tail.Process.Signal(sig)
		if err := <-tail.done; err != nil {
			t.Errorf("after %v: %v\n%s", sig, err, tail.errs.String())
		}
	}
	u.equal(fileText(t, out), "begin 0\nend 0\nbegin 1\nend 1\n")

	tail := u.follow(nil, "tail", "-f", "--exec", `echo begin >> $OUT; sleep 100; echo end >> $OUT`, "--resume", place)
	waitFile(t, out, 5)
	tail.Process.Signal(syscall.SIGINT)
	time.Sleep(300 * time.Millisecond)
	tail.Process.Signal(syscall.SIGINT)
	var exit *exec.ExitError
	if err := <-tail.done; !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("after a second signal: %v", err)
	}
	relaytest.Contains(t, tail.errs.String(), `event_id "2"`)
	u.run(0, "", "tail", "--exec", slow, "--resume", place)
	u.equal(fileText(t, out), "begin 0\nend 0\nbegin 1\nend 1\nbegin\nbegin 2\nend 2\n")
}

// With -n 0 the place is kept from the beginning on.
func TestTail_ResumesFromNow(t *testing.T) {
	u, r, _ := execUser(t)
	place := filepath.Join(t.TempDir(), "place")
	u.run(0, "", "post", `{"event_id":"old"}`)
	tail := u.follow(nil, "tail", "-n", "0", "-f", "--resume", place)
	for r.Metric("cowrelay_streams") < 1 {
		time.Sleep(10 * time.Millisecond)
	}
	tail.Process.Signal(syscall.SIGINT)
	if err := <-tail.done; err != nil {
		t.Fatal(err, tail.errs.String())
	}
	u.run(0, "", "post", `{"event_id":"a"}`, `{"n":1}`)
	out, _ := u.run(0, "", "tail", "-n", "0", "-f", "--count", "1", "--resume", place)
	u.equal(out, `{"event_id":"a"}`+"\n")
	out, _ = u.run(0, "", "tail", "--resume", place)
	u.equal(out, `{"n":1}`+"\n")
	out, _ = u.run(0, "", "tail", "--resume", place)
	u.equal(out, "")
}

// At a relay without positions a command knows none, and a place is kept all the same.
func TestExec_PlainRelay(t *testing.T) {
	u, r, out := execUser(t)
	place := filepath.Join(t.TempDir(), "place")
	u.env[1] = "COWRELAY_RELAY=" + plainRelay(t, r)
	u.run(0, "", "slot", "new", "--save", "plain")
	run := []string{"tail", "--profile", "plain", "-n", "0", "-f", "--count", "2", "--exec", `echo "$COWRELAY_EVENT_ID|$COWRELAY_POSITION" >> $OUT`, "--resume", place}
	tail := u.follow(nil, run...)
	for r.Metric("cowrelay_streams") < 1 {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // it counts the events once more
	u.run(0, "", "post", "--profile", "plain", `{"event_id":"a"}`, `{"event_id":"b"}`, `{"event_id":"c"}`, `{"n":1}`)
	if err := <-tail.done; err != nil {
		t.Fatalf("%v\n%s", err, tail.errs.String())
	}
	u.run(0, "", run...)
	u.equal(fileText(t, out), "a|\nb|\nc|\n|\n")
	got, _ := u.run(0, "", "tail", "--profile", "plain", "--resume", place)
	u.equal(got, "")
}

func TestTail_CountAndFrom(t *testing.T) {
	u, _, _ := execUser(t)
	u.run(0, "", "post", `{"n":0}`, `{"n":1}`, `{"n":2}`)
	for args, want := range map[string]string{
		"tail --count 2":             `{"n":0} {"n":1}`,
		"tail -f --count 3":          `{"n":0} {"n":1} {"n":2}`,
		"tail -n 1 -f --count 1":     `{"n":2}`,
		"tail --from 1":              `{"n":1} {"n":2}`,
		"tail --from 1 -f --count 1": `{"n":1}`,
		"tail --count 9":             `{"n":0} {"n":1} {"n":2}`,
	} {
		out, _ := u.run(0, "", strings.Fields(args)...)
		u.equal(strings.Join(strings.Fields(out), " "), want)
	}
	tail := u.follow(nil, "tail", "-n", "0", "-f", "--count", "2")
	for sent := 0; ; sent++ {
		u.run(0, "", "post", `{"n":3}`)
		select {
		case err := <-tail.done:
			if err != nil || tail.out.String() != `{"n":3}`+"\n"+`{"n":3}`+"\n" {
				t.Errorf("%v, %q", err, tail.out.String())
			}
			return
		default:
			if sent > 1000 {
				t.Fatal("it does not end")
			}
		}
	}
}

// --since by the events' own time, in all forms that events carry it.
func TestSince_Times(t *testing.T) {
	u, _, _ := execUser(t)
	now := time.Now()
	at := func(d time.Duration) string { return now.Add(-d).UTC().Format(time.RFC3339Nano) }
	u.run(0, "", "post",
		`{"n":0}`, // nobody knows when
		`{"n":1,"timestamp":"`+at(time.Hour)+`"}`,
		`{"n":2}`, // as old as the one before
		fmt.Sprintf(`{"n":3,"ts":%d}`, now.Add(-time.Minute).Unix()),
		fmt.Sprintf(`{"n":4,"created_at":%d}`, now.Add(-time.Minute).UnixMilli()),
		`{"n":5}`,
		`{"n":6,"time":"`+at(2*time.Hour)+`","sent":"`+at(time.Second)+`"}`, // somebody's clock is slow
		`{"n":7,"timestamp":"yesterday","time":"`+at(time.Minute)+`"}`,
	)
	short := func(text string) string {
		var b strings.Builder
		for line := range strings.Lines(text) {
			b.WriteString(line[len(`{"n":`) : len(`{"n":`)+1])
		}
		return b.String()
	}
	for args, want := range map[string]string{
		"pull --since 10m":                   "3457",
		"pull --since 1h30m":                 "123457",
		"pull --since " + at(90*time.Minute): "123457",
		"pull --since 10m --limit 2":         "34",
		"pull --since 1d":                    "1234567",
		"pull --since 2001-02-03":            "1234567",
		"pull --since 2001-02-03T04:05:06":   "1234567",
		"tail --since 10m":                   "3457",
		"tail --since 10m -n 1":              "7",
		"tail --since 10m -f --count 3":      "345",
		"pull --since 10m --time-field sent": "67",
		"pull --since 1s --time-field none":  "",
	} {
		out, _ := u.run(0, "", strings.Fields(args)...)
		if short(out) != want {
			t.Errorf("%s: %s, want %s", args, short(out), want)
		}
	}
	_, errs := u.run(0, "", "pull", "--since", "1h30m")
	relaytest.Contains(t, errs, "left out 1 events: they carry no time")
	// An id that looks like a time, and a wait for what comes.
	u.run(0, "", "post", `{"event_id":"10m"}`, `{"n":8}`)
	out, _ := u.run(0, "", "pull", "--since-id", "10m")
	u.equal(out, `{"n":8}`+"\n")
	wait := u.follow(nil, "pull", "--since", "1ns", "--wait", "20s")
	time.Sleep(500 * time.Millisecond)
	u.run(0, "", "post", `{"n":9,"timestamp":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`)
	if err := <-wait.done; err != nil || short(wait.out.String()) != "9" {
		t.Errorf("%v, %s", err, wait.out.String())
	}
}

func TestTemplate_Prints(t *testing.T) {
	u, _, _ := execUser(t)
	u.run(0, "", "post", `{"event_id":"a","n":1,"big":18446744073709551615,"x":1.5,"body":{"text":"hi <b>\u001b[31m"},"list":["p","q"]}`, `{"n":20,"body":"flat"}`)
	out, errs := u.run(1, "", "pull", "--template", `{{position}} {{id}} {{if gt .n 10}}many{{else}}few{{end}} {{.big}} {{.x}} {{json .body}} {{.body.text}}{{range .list}} {{.}}{{end}}`)
	u.equal(out, `0 a few 18446744073709551615 1.5 {"text":"hi <b>\u001b[31m"} hi <b>`+"\x1b[31m p q\n")
	relaytest.Contains(t, errs, "position 1", "the template could not be used on 1 events")
	out, _ = u.run(0, "", "tail", "-n", "1", "--template", `{{event}} {{.none}}`)
	u.equal(out, `{"n":20,"body":"flat"} <no value>`+"\n")
	// A bad one is refused before the relay is asked.
	for _, bad := range []string{"{{", "{{.a", "{{nofunc .a}}", "{{end}}"} {
		for _, command := range []string{"pull", "tail"} {
			_, errs := u.run(2, "", command, "--relay", "http://127.0.0.1:1", "--slot", strings.Repeat("0", 32), "--token-file", relaytest.WriteTemp(t, "x"), "--template", bad)
			relaytest.Contains(t, errs, "--template: ")
		}
	}
}

func TestTail_AskedWrongly(t *testing.T) {
	for _, args := range [][]string{
		{"tail", "--exec="}, {"tail", "--keep-going"}, {"tail", "--parallel=2"}, {"tail", "--exec=x", "--parallel=0"}, {"tail", "--exec=x", "--queue=0"},
		{"tail", "--exec=x", "--template=x"}, {"tail", "--count=-1"}, {"tail", "--from=-1"}, {"tail", "--from=1", "-n=1"}, {"tail", "--from=1", "--since=10m"},
		{"tail", "--since=-10m"}, {"tail", "--since=a", "--since-id=b"}, {"pull", "--since=a", "--since-id=b"}, {"pull", "--since-id=a", "--last=1"},
		{"pull", "--time-field=x"}, {"pull", "--since=a", "--time-field=x"}, {"pull", "--since=10m", "--from=1"},
	} {
		if out, errs, code := relaytest.Command(t, []string{"COWRELAY_TOKEN=t"}, append(args, "--slot=x")...); code != 2 || out != "" || errs == "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, errs)
		}
	}
}
