package natstest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cow/natslog/natstest"
)

const childEnv = "COWRELAY_NATSTEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		s, err := natstest.StartServer(context.Background(), dir, natstest.Config{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.PID())
		time.Sleep(time.Minute)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// No server outlives the program that started it, whether it runs or is paused.
func TestServer_EndsWithItsProgram(t *testing.T) {
	for _, paused := range []bool{false, true} {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childEnv+"="+t.TempDir())
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		pid, err2 := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || err2 != nil || pid < 2 {
			t.Fatalf("the child said %q: %v, %v", line, err, err2)
		}
		if paused {
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		end := time.Now().Add(time.Minute)
		for alive(pid) {
			if time.Now().After(end) {
				t.Fatalf("server %d outlived its program", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// alive says whether a process runs. One that ended and that nobody waited for does not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestServer_StopsAndStarts(t *testing.T) {
	s := natstest.One(t, natstest.Config{})
	first := s.PID()
	if err := s.Start(); err == nil {
		t.Error("a server was started twice")
	}
	for _, end := range []func() error{s.Kill, s.Stop} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if s.Running() || s.PID() != 0 || s.Ask(context.Background(), "healthz", nil) == nil {
			t.Fatal("it runs")
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if err := s.Await(context.Background()); err != nil {
			t.Fatal(err)
		}
		if s.PID() == first {
			t.Fatal("it is the same process")
		}
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); s.Ask(context.Background(), "healthz", nil) == nil; { // its threads stop one by one
		if time.Now().After(end) {
			t.Fatal("a paused server answers")
		}
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	var v struct {
		JetStream struct {
			Config struct {
				SyncAlways bool `json:"sync_always"`
			} `json:"config"`
		} `json:"jetstream"`
	}
	if err := s.Ask(context.Background(), "varz", &v); err != nil || !v.JetStream.Config.SyncAlways {
		t.Fatalf("%v, %+v", err, v)
	}
}

// echo answers each connection with what it sends.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestProxy(t *testing.T) {
	p, err := natstest.NewProxy(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	say := func(c net.Conn, within time.Duration) error {
		_ = c.SetDeadline(time.Now().Add(within))
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 5))
		return err
	}
	c := dial()
	if err := say(c, 5*time.Second); err != nil {
		t.Fatal(err)
	}

	p.Delay(100 * time.Millisecond)
	begun := time.Now()
	if err := say(c, 5*time.Second); err != nil || time.Since(begun) < 200*time.Millisecond {
		t.Fatalf("%v after %v", err, time.Since(begun))
	}

	p.Mend()
	p.Blackhole()
	if err := say(c, 200*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("through a hole: %v", err)
	}
	if err := say(dial(), 200*time.Millisecond); err == nil {
		t.Fatal("a new connection went through a hole")
	}
	p.Mend()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatalf("what was under way: %v", err)
	}

	p.Cut()
	if err := say(c, 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("through a cut: %v", err)
	}
	if err := say(dial(), 5*time.Second); err == nil {
		t.Fatal("a new connection went through a cut")
	}
	p.Mend()
	if err := say(dial(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
}

// A server that is isolated loses its part in the cluster, and gets it back.
func TestCluster_Isolate(t *testing.T) {
	c := natstest.Three(t, natstest.Config{})
	ctx := context.Background()
	routes := func(s *natstest.Server) int {
		var v struct {
			Routes []struct {
				Name string `json:"remote_name"`
			} `json:"routes"`
		}
		if err := s.Ask(ctx, "routez", &v); err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, r := range v.Routes {
			names[r.Name] = true
		}
		return len(names)
	}
	for _, s := range c.Servers {
		if n := routes(s); n != 2 {
			t.Fatalf("%s has routes to %d servers", s.Name, n)
		}
	}
	c.Isolate(0)
	end := time.Now().Add(time.Minute)
	for routes(c.Servers[0]) != 0 {
		if time.Now().After(end) {
			t.Fatal("an isolated server has routes")
		}
		time.Sleep(20 * time.Millisecond)
	}
	// It finds no way around.
	time.Sleep(2 * time.Second)
	if n := routes(c.Servers[0]); n != 0 {
		t.Fatalf("an isolated server has routes to %d servers", n)
	}
	if n := routes(c.Servers[1]); n != 1 {
		t.Fatalf("another server has routes to %d servers", n)
	}
	if err := c.Heal(ctx); err != nil {
		t.Fatal(err)
	}
}
