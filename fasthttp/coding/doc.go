// Package coding compresses replies for clients that ask for it (RFC 9110, sections
// 8.4 and 12.5.3): which coding a request asks for (accept.go), pages of events
// (coder.go), and the two codings (gzip.go, zstd.go).
//
// Events never change, so what was compressed once is used again. A page is cut into
// runs of events (cow.Window.Runs), each run is compressed by itself, and the pieces that
// come of it stand in a cache (cache.go) under slot, position and number of events:
//
//	page     [ run0 , run1 , run2 ]
//	gzip     one member, one deflate stream: header, '[', piece, ',', piece … ']', sums
//	zstd     one frame: the page is one piece
//
// Compression is a courtesy and never a queue. Few pieces are made at once, and no reply
// waits for its turn: when all workers are busy, when too many bytes are held by replies
// under way, or when a page is too short to gain from it, the reply goes out plain.
package coding
