package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTimeout is how long the server may take to start.
const startTimeout = 30 * time.Second

// serve runs a server until ctx ends.
func serve(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	bind := fs.String("bind", "", "host:port on loopback")
	dir := fs.String("dir", "", "folder of the store")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s, err := start(*bind, *dir)
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// start starts a server whose streams are synced before each acknowledgement.
func start(bind, dir string) (*server.Server, error) {
	host, text, err := net.SplitHostPort(bind)
	if err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if dir == "" {
		return nil, errors.New("dir is needed")
	}
	o := &server.Options{
		Host: host, Port: port,
		JetStream: true, StoreDir: dir,
		SyncAlways: true, // sync_interval: always
		NoSigs:     true,
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, errors.New("the server did not start in time")
	}
	if c := s.JetStreamConfig(); c == nil || !c.SyncAlways {
		s.Shutdown()
		return nil, errors.New("the server does not sync before it acknowledges")
	}
	return s, nil
}
