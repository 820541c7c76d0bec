package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/rendezvous"
	relayhttp "cowrelay/fasthttp"
	"cowrelay/fasthttp/client"
)

// exampleRelay is a whole relay, its store in memory, until stop.
func exampleRelay() (url string, stop func()) {
	quiet := slog.New(slog.DiscardHandler)
	journal, err := engine.Open("data", engine.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		panic(err)
	}
	store, err := cow.Open(journal, journal, cow.Options{Logger: quiet})
	if err != nil {
		panic(err)
	}
	desk, err := rendezvous.Open(store, rendezvous.Options{Logger: quiet})
	if err != nil {
		panic(err)
	}
	relay := relayhttp.NewRelay(store, relayhttp.Options{Desk: desk, Logger: quiet})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error, 1)
	go func() { served <- relay.Serve(ln) }()
	return "http://" + ln.Addr().String(), func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		relay.Drain(ctx, 0)
		<-served
		desk.Close()
		store.Close()
		journal.Close()
	}
}

func Example() {
	relay, stop := exampleRelay()
	defer stop()
	ctx := context.Background()

	c, err := client.New(relay, client.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	slot, err := c.Allocate(ctx) // keep slot.ID and slot.Token
	if err != nil {
		panic(err)
	}
	for range 2 { // safe to send again, because it has an id
		posted, err := slot.Post(ctx, []byte(`{"event_id":"a","text":"hello"}`))
		if err != nil {
			panic(err)
		}
		fmt.Println(posted.ID, posted.Duplicate)
	}
	for event, err := range slot.Pull(ctx, client.Cursor{}, 0) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s\n", event.JSON)
	}
	// Output:
	// a false
	// a true
	// {"event_id":"a","text":"hello"}
}

// Tail goes on over restarts of the relay, until its context ends or the caller
// stops.
func ExampleSlot_Tail() {
	relay, stop := exampleRelay()
	defer stop()
	ctx := context.Background()
	c, err := client.New(relay, client.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	slot, err := c.Allocate(ctx)
	if err != nil {
		panic(err)
	}
	for _, text := range []string{`{"event_id":"a"}`, `{"event_id":"b"}`, `{"no":"id"}`, `{"event_id":"c"}`} {
		if _, err := slot.Post(ctx, []byte(text)); err != nil {
			panic(err)
		}
	}
	for event, err := range slot.Tail(ctx, client.After("a")) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s at %s\n", event.JSON, event.Cursor)
		if event.ID == "c" {
			break
		}
	}
	// Output:
	// {"event_id":"b"} at event_id "b"
	// {"no":"id"} at event 1 after event_id "b"
	// {"event_id":"c"} at event_id "c"
}

func ExampleError() {
	relay, stop := exampleRelay()
	defer stop()
	c, err := client.New(relay, client.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	_, err = c.Slot("0123456789abcdef0123456789abcdef", "token").Post(context.Background(), []byte(`{}`))
	var refusal *client.Error
	switch {
	case errors.Is(err, client.ErrGone):
		fmt.Println("gone:", err)
	case errors.As(err, &refusal):
		fmt.Println("refused:", refusal.Status)
	}
	// Output: gone: unknown slot (404)
}
