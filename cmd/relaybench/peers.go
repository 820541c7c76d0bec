package main

import (
	"context"
	"path/filepath"

	"cowrelay/bench"
)

// peersWord is the word that stands in the place of the scenarios.
const peersWord = "peers"

// runPeers is bench.Run for the peers. The program that is NATS lies beside
// this one.
func runPeers(ctx context.Context, cfg bench.Config, self string, emit func(bench.Result)) error {
	cfg.NATSPeer = filepath.Join(filepath.Dir(self), "natspeer")
	return bench.RunPeers(ctx, cfg, emit)
}
