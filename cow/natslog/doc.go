// Package natslog is the log that relays share, on one stream of NATS JetStream. It is
// a replay.SharedLog. The number of an entry is its sequence in the stream.
//
// What it relies on, and what it does not:
//
//   - The stream has one subject and keeps files on at least three servers. Nothing can
//     be deleted from its middle. A full stream refuses new entries and never drops old
//     ones. Each server syncs before it says that it has an entry. Open makes the
//     stream, and refuses one that promises less.
//   - No answer of a server is believed. Under faults an answer can be late, missing or
//     wrong. An entry is stored when Follow has yielded it. Answers to what was sent
//     only say early that sending again may be needed (Trouble), and why.
//   - Follow reads through a consumer that lives on one of the servers and has its
//     position in memory. It numbers what it delivers. Each number that does not fit
//     makes Follow throw the consumer away and begin a new one behind the last entry
//     that it has yielded. So entries come in order, each once.
//   - A consumer on a server that is cut off from the others goes on to say that it is
//     alive. So the stream's leader is asked for the newest number each second without
//     an entry. If Follow stays behind it, it begins a new consumer.
//   - Without a leader no consumer can be made, for seconds. Meanwhile Follow fetches what
//     any server of the stream has: it holds only what most servers have stored. It takes
//     nothing but the next entry.
//   - A stream that was deleted, made again, or put back to an older state must not pass
//     for the one that a store was made from. The stream's metadata has a random ID,
//     and its newest number may not fall. Servers that start can say such things for a
//     moment, so they have to stay true for a while before Follow gives up.
//
// Which calls are safe when they are made twice: making the stream (the second one
// finds it), making a consumer (its name is random), purging up to a number (what is
// gone is gone; it never drops more than what was asked for). Sending is not: an entry
// that is sent twice is stored twice. Package replay lets only the first one count.
package natslog
