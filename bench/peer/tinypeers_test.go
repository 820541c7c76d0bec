package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cowrelay/bench/internal/tiny"
	"cowrelay/bench/wire"
)

// tinyFault is the environment variable that makes a tiny peer misbehave. The
// peer's command line is fixed.
const tinyFault = "TINY_PEER_FAULT"

// tinyGrace is wire.AnswerGrace where something is lost on purpose.
const tinyGrace = 200 * time.Millisecond

// runTinyPeer is what runs start in the place of nginx and of natspeer.
func runTinyPeer(args []string) error {
	switch args[0] {
	case "-p":
		return serveTinyNchan(args)
	case "server":
		return serveTinyBackend(args[2])
	case "load":
		wire.AnswerGrace = tinyGrace
		return RunLoad(context.Background(), args[1:], os.Stdout, func(addr string) (Backend, error) {
			return tinyBackend{addr}, nil
		})
	}
	return fmt.Errorf("unknown words %q", args)
}

// A tinyTopic is the messages of a channel, or of a lane.
type tinyTopic struct {
	messages []string
	changed  chan struct{} // closed and replaced at each message
}

// tinyTopics are all topics. A stream reads from the first message on.
type tinyTopics struct {
	mu sync.Mutex
	m  map[string]*tinyTopic
}

func (ts *tinyTopics) topicLocked(name string) *tinyTopic {
	if ts.m == nil {
		ts.m = map[string]*tinyTopic{}
	}
	if ts.m[name] == nil {
		ts.m[name] = &tinyTopic{changed: make(chan struct{})}
	}
	return ts.m[name]
}

// add returns how many messages there are now.
func (ts *tinyTopics) add(name, message string) int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.topicLocked(name)
	t.messages = append(t.messages, message)
	close(t.changed)
	t.changed = make(chan struct{})
	return len(t.messages)
}

// after returns the messages from n on, and a channel that is closed when there
// are more.
func (ts *tinyTopics) after(name string, n int) ([]string, chan struct{}) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.topicLocked(name)
	return t.messages[min(n, len(t.messages)):], t.changed
}

// serveTinyNchan is as much of Nchan as the loads need. It reads the address
// alone from its configuration.
func serveTinyNchan(args []string) error {
	conf, err := os.ReadFile(args[slices.Index(args, "-c")+1])
	if err != nil {
		return err
	}
	m := regexp.MustCompile(`listen (\S+) `).FindSubmatch(conf)
	if m == nil {
		return errors.New("no address in the configuration")
	}
	var ts tinyTopics
	fault := os.Getenv(tinyFault)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("POST /pub/{channel}", func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		if fault == "status" {
			tiny.Answer(w, 507, nil)
			return
		}
		n := ts.add(q.PathValue("channel"), string(b))
		tiny.Answer(w, 202, fmt.Appendf(nil, `{"messages": %d, "last_message_id": "1:%d" }`, n, n-1))
	})
	mux.HandleFunc("GET /page/{channel}", func(w http.ResponseWriter, q *http.Request) {
		_, last, _ := strings.Cut(q.Header.Get("Last-Event-ID"), ":")
		n, _ := strconv.Atoi(last)
		page, _ := ts.after(q.PathValue("channel"), n+1)
		if fault == "page" {
			page = page[1:]
		}
		tiny.Answer(w, 200, []byte(strings.Join(page, ",\n")+",\n"))
	})
	mux.HandleFunc("GET /sub/{channel}", func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprint(w, ": hi\n\n")
		beat := time.NewTicker(20 * time.Millisecond)
		defer beat.Stop()
		for n := 0; ; {
			page, more := ts.after(q.PathValue("channel"), n)
			for _, s := range page {
				if n++; fault != "lose" || n%7 != 0 {
					fmt.Fprintf(w, "id: 1:%d\ndata: %s\n\n", n-1, s)
				}
			}
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-more:
			case <-beat.C:
				fmt.Fprint(w, ":\n\n")
			case <-q.Context().Done():
				return
			}
		}
	})
	return http.ListenAndServe(string(m[1]), mux)
}

// serveTinyBackend serves lines: "POST lane event" and "SUB lane".
func serveTinyBackend(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	var ts tinyTopics
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			fmt.Fprint(c, "INFO {}\n")
			for in := bufio.NewScanner(c); in.Scan(); {
				what, rest, _ := strings.Cut(in.Text(), " ")
				lane, event, _ := strings.Cut(rest, " ")
				if what == "POST" {
					ts.add(lane, event)
					fmt.Fprint(c, "OK\n")
					continue
				}
				for n := 0; ; {
					page, more := ts.after(lane, n)
					n += len(page)
					if len(page) > 0 {
						if _, err := fmt.Fprintln(c, strings.Join(page, "\n")); err != nil {
							return
						}
					}
					<-more
				}
			}
		}()
	}
}

// tinyBackend is the client of serveTinyBackend.
type tinyBackend struct{ addr string }

type tinyClient struct {
	c  net.Conn
	in *bufio.Scanner
}

func (b tinyBackend) dial() (*tinyClient, error) {
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		return nil, err
	}
	t := &tinyClient{c: c, in: bufio.NewScanner(c)}
	if !t.in.Scan() {
		return nil, errors.New("no greeting")
	}
	return t, nil
}

type tinyPoster struct {
	*tinyClient
	lane string
}

func (b tinyBackend) Poster(_ context.Context, lane string) (Poster, error) {
	c, err := b.dial()
	return tinyPoster{c, lane}, err
}

func (p tinyPoster) Post(ctx context.Context, id, event []byte) error {
	if os.Getenv(tinyFault) == "post" {
		return errors.New("refused, as told")
	}
	defer context.AfterFunc(ctx, p.Close)()
	fmt.Fprintf(p.c, "POST %s %s\n", p.lane, event)
	if !p.in.Scan() {
		return errors.New("no acknowledgement")
	}
	return nil
}

func (p tinyPoster) Close() { p.c.Close() }

func (b tinyBackend) Stream(_ context.Context, lane string, deliver func([]byte), failed func(error)) (io.Closer, error) {
	c, err := b.dial()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c.c, "SUB %s\n", lane)
	fault := os.Getenv(tinyFault)
	go func() {
		for n := 0; c.in.Scan(); n++ {
			if fault != "lose" || n%7 != 0 {
				deliver(c.in.Bytes())
			}
		}
		failed(errors.New("ended"))
	}()
	return c.c, nil
}
