// Package natstest runs NATS servers for tests and loads: real processes of
// nats-server, on loopback, with JetStream and sync_interval: always. They can be
// killed, paused, and cut off from each other and from their clients.
//
// The server is built once from module bench/peers, so that the relay's module needs no
// nats-server. No process outlives the program that started it, also if that is killed.
// Only processes that the package started are ended, by their id.
package natstest
