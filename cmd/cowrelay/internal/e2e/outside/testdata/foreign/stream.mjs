// Prints the events of a stream as JSON lines. The client reconnects by itself,
// with Last-Event-ID; only what the standard calls fatal, a status other than
// 200, ends it, and then this program with it.
import { createRequire } from "node:module";

const { EventSource } = createRequire(process.env.MODULES + "/")("eventsource");

const source = new EventSource(process.argv[2], {
  fetch: (url, init) =>
    fetch(url, { ...init, headers: { ...init.headers, Authorization: "Bearer " + process.env.TOKEN } }),
});
source.onmessage = (event) => console.log(JSON.stringify({ id: event.lastEventId, data: event.data }));
source.onerror = (event) => {
  console.error(event.code, event.message);
  if (source.readyState === EventSource.CLOSED) process.exit(1);
};
