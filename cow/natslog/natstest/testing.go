package natstest

import (
	"context"
	"testing"
)

// One starts one server for a test. It is ended with the test.
func One(t testing.TB, c Config) *Server {
	t.Helper()
	s, err := StartServer(context.Background(), t.TempDir(), c)
	if s != nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Three starts a cluster of three for a test. It is ended with the test.
func Three(t testing.TB, c Config) *Cluster {
	t.Helper()
	cl, err := StartCluster(context.Background(), t.TempDir(), 3, c)
	if cl != nil {
		t.Cleanup(func() {
			if err := cl.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return cl
}
