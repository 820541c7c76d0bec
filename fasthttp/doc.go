// Package fasthttp serves a cow.Store over HTTP/1.1: routes, authentication,
// windows, server-sent-event streams, drain, metrics and the admin listener.
//
// It knows no disk and no flags. The upstream package of the same name is
// imported bare here; everywhere else this one is imported as relayhttp. It
// exports no name that upstream exports.
package fasthttp

import ()
