package main

import (
	"context"
	"path/filepath"

	"cowrelay/bench/peer"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

// peersWord is the word for a run beside peers. It takes the place of
// scenarios.
const peersWord = "peers"

// runPeers is scenario.Run for peers. The program that is NATS is in the folder
// of this one.
func (o *options) runPeers(ctx context.Context, cfg run.Config, self string, emit func(report.Result)) error {
	natspeer := filepath.Join(filepath.Dir(self), "natspeer")
	return peer.Run(ctx, peer.Config{Config: cfg, NATSPeer: natspeer, Peers: o.beside}, emit)
}
