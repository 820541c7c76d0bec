package main

import (
	"fmt"
	"io"
)

const help = `relaybench loads a relay and holds it against its bound: a bare server that
sends the same bytes and does nothing else, run by turns with the relay.

Usage:
  relaybench SCENARIO|all --relay PATH  [flags]   start this relay binary itself
  relaybench SCENARIO|all --target URL  [flags]   load a relay that runs already
  relaybench peers --relay PATH [--target URL] [flags]   run the relay by turns
                                                  with what else there is
  relaybench attack [DRILL...] --relay PATH [flags]   attack it, and watch what
                                                  honest clients get; attack
                                                  --help explains
  relaybench soak --relay PATH --out DIR [flags]   mix for an hour on a small
                                                  machine; soak --help explains
  relaybench retention --relay PATH --out DIR [flags]   ten million events, most of
                                                  which expire, and the disk;
                                                  retention --help explains
  relaybench fleet --relay PATH [flags]            three relays on three servers of
                                                  one log, beside bare publishes to
                                                  these; fleet --help explains
  relaybench model [flags]                        what a fleet of cells costs, and
                                                  where it breaks first; model
                                                  --help explains
  relaybench plot RESULTS.jsonl... --out DIR      draw what --out wrote, each as
                                                  NAME-light.svg and -dark.svg

Scenarios:
  poll        an up-to-date client asks for news and gets an empty page
  connect     poll over a new connection each time, which the client closes, as
              existing clients do; sockets left in TIME_WAIT are counted
  window      full pages at random places of a slot of 1 MiB and one of 64 MiB
  compress    pages of 100 signed events, plain, in gzip and in zstd: 20 pages again
              and again, and pages at random places of a long slot. No bound
  post        unique events, each on stable storage before its 201; 1, 64 and
              256 connections
  batch       requests of 100 events, each on stable storage before its 201; 1, 16
              and 64 connections. It counts events
  batch-beside  posts of one event from 64 connections at a fixed rate: alone,
              beside 16 connections that post batches without rest, and beside
              batches at a rate that leaves 30 % of the CPU idle
  post-file   the command "cowrelay post --file" stores 100,000 lines in order
              over one connection; they are read back and compared. Needs --relay
  tail        the newest 10 events of a full slot, after a start: how many bytes
              the relay reads for them. Needs --relay
  fanout      one slot, 16 posters, 256 streams; every event is counted, and
              its place in the order checked, at every stream
  saturation  posts at a fixed rate while 64 pullers take full windows of a
              64 MiB slot: no pullers, pullers that never rest, and pullers at
              a rate that leaves 30 % of the CPU idle. Posts are due at fixed
              times, whatever the answers take; latency counts from there
  tls         poll, post, windows and a connection a request, over TLS by turns with a
              relay without it; and memory of silent streams. Needs --relay
  idle        10,000 streams over 5,000 slots that hear nothing: the server's
              memory a stream 60 s after the last open, and its CPU while only
              heartbeats come. One round on each side
  churn       10,000 streams of a silent slot opened and closed, 128 at once;
              then the relay must count none, and have its goroutines back
  mix         a day of 1000 agents, 20 times as fast: each polls every 5 s over
              a new connection, now and then from the oldest event, holds a
              stream, and posts in bursts. All is due at fixed times; every
              event must come once, in one order, by poll and by stream. It has
              no bound
  growth      curves: posts and pulls at 1000 to 200,000 events in the slot, the
              worst post while a slot grows to 1,000,000 small events, deliveries
              at 1 to 256 streams, memory and start at 1000 to 1,000,000 slots
  restart     100,000 slots with 1 GiB; the relay is killed (SIGKILL) under posts
              and started again: time to readiness and to a right page of a cold
              slot. Needs --relay, as the slots of growth do; with --target, all
              leaves out what needs it
  claim       64 connections claim nicks again in a directory of 100,000; each
              claim carries a signed card of 2 KB, which the relay verifies
  directory   64 connections read pages of 100 handles of such a directory

For a machine of 512 MB and one core; not part of all, as they take root:
  edge        the relay runs in a control group of that size, with silent
              streams over 100,000 slots, as many as the limit of open files
              allows up to 19,000. Meanwhile 64 connections, with a slot each,
              post 5000 events of 512 B a second at fixed times. Latency, memory
              of the group, its part of the core, and how long the kernel held it
              back. One round; no bound
  edge-idle   the same without posts
  cold        events of five times the relay's memory budget are stored. Hot
              slots are read and others posted to at fixed times: alone, and
              beside 16 connections that read windows of 100 events at random
              places of random cold slots. All bytes of each page are checked.
              A cold read may get 503 with Retry-After, which is counted

Peers, run by turns with the relay, each in what both can do:
  nchan       Debian's nginx with libnginx-mod-nchan: a page, posts, fan-out,
              silent streams; the relay with --sync off and as it is by default
  nats        NATS JetStream with sync_interval always (bin/natspeer, which
              make peers builds): posts, fan-out
  target      a relay of the same protocol that runs at --target
One that is not installed is skipped, and the line says what brings it. What a
peer promises less than the relay stands beside its figure.

Result: one line a scenario; the ratio to the bound is the median over the
rounds, with the smallest and the largest. Exit status: 0 all right, 1 a run
failed or an answer was wrong, 2 wrong usage.

The relay:
  --target URL        http://host:port of a relay that runs
  --target-pid N      its process, for CPU figures (same machine)
  --relay PATH        relay binary; started on loopback as "PATH serve --bind ..
                      --data-dir .. --admin ..", stopped by SIGTERM
  --relay-args ARGS   further arguments for it, separated by blanks
  --header LINE       further header of every request, "X-Forwarded-For: 192.0.2.1"
  --dir DIR           where data goes (default: the system's temporary folder);
                      should be a disk, since posts are synced to it
  --no-bound          run the relay alone

Rounds:
  --rounds N          rounds of each side (default 5)
  --duration D        measured time of a round (default 3s)
  --warmup D          time before it (default 500ms)
  --procs N           cores that the generator runs on (default: all)

Loads:
  --conns LIST        connections of poll, connect, window, post, batch, and of
                      batch-beside's posts, such as 1,64,256 (default 64; for post
                      1,64,256, for batch 1,16,64)
  --event-bytes N     size of an event (default 512 for post and fanout, 300 for
                      window, saturation, batches, post-file and tail)
  --slot-bytes LIST   slot lengths of window, such as 65536,1MiB
                      (default 1MiB,64MiB)
  --page N            events of a window (default 1000)
  --batch-events N    events of a request of batch and batch-beside (default 100)
  --batch-posters N   connections of batch-beside that post batches (default 16)
  --beside-rate R     its posts of one event a second, all together (default 2000)
  --file-lines N      lines of post-file (default 100000)
  --streams N         streams of fanout (default 256)
  --idle-streams N    streams of idle, two a slot (default 10000)
  --idle-settle D     from the last open to the reading of memory (default 1m)
  --heartbeat D       longest silence on a stream that the relay promises, and
                      that the bound of idle keeps to (default 12s)
  --edge-streams N    streams of edge (default 0: as many as may be)
  --edge-slots N      slots of edge (default 100000)
  --edge-rate R       posts a second of edge (default 5000)
  --edge-memory N     memory of the control group of edge and cold (default
                      512000000)
  --cold-times X      events of cold, as times the memory budget (default 5)
  --cold-slot-events N  events in each of its slots (default 500)
  --cold-hot-rate R   its windows a second of hot slots (default 500)
  --cold-post-rate R  its posts a second (default 500)
  --cold-rate R       its cold windows a second at most (default 0: find the rate
                      that leaves 30 % of the relay's core idle)
  --churn-streams N   streams of a round of churn (default 10000)
  --mix-agents N      agents of mix (default 1000)
  --mix-speed X       how many times as fast as a day mix goes (default 20)
  --posters N         posters of fanout and saturation (default 16)
  --post-rate R       posts a second of saturation, all together (default 800)
  --pullers N         pullers of saturation (default 64)
  --pull-rate R       pulls a second of its paced pullers (default 0: find the
                      rate that leaves 30 % of the CPU idle)
  --puller-nice N     how far below the other processes its pullers stand, 0 to
                      19 (default 0): on other machines they would take no CPU
  --handles N         nicks of claim and directory (default 100000)
  --growth-lengths LIST  events in a slot (default 1000,10000,100000,200000)
  --growth-events N   small events to the worst post (default 1000000)
  --growth-streams LIST  streams on a slot (default 1,10,100,256)
  --growth-slots LIST slots (default 1000,10000,100000,1000000)
                      an empty LIST, or N of 0, leaves that part of growth out
  --restart-slots N   slots of restart (default 100000)
  --restart-bytes N   what they hold together, such as 1GiB (default 1GiB)
  --peers LIST        which peers, such as nchan,nats (default: all)

Output:
  --json              JSON lines instead of text
  --out FILE          append JSON lines to FILE too
  --commit ID         what is measured, for the record
  --profile DIR       take CPU, allocation, mutex, block, heap and goroutine
                      profiles of the relay while its rounds are measured, and
                      write them to DIR with the raw result and NOTES.md; one
                      load only
  --quiet             no progress on standard error

  relaybench --help   this text
`

func printHelp(w io.Writer) { fmt.Fprint(w, help) }
