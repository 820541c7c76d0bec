// Prints the events of a stream as JSON lines. The client reconnects by itself,
// with Last-Event-ID, but gives up at the first connection that is refused: then
// another one begins behind the last id.
import { createRequire } from "node:module";

const { Agent, EventSource } = createRequire(process.env.MODULES + "/")("undici");

const authorized = (dispatch) => (options, handler) =>
  dispatch({ ...options, headers: { ...options.headers, authorization: "Bearer " + process.env.TOKEN } }, handler);
const dispatcher = new Agent().compose(authorized);

const url = new URL(process.argv[2]);
let source;
const open = () => {
  source = new EventSource(url, { dispatcher });
  source.onmessage = (event) => {
    if (event.lastEventId) url.searchParams.set("since", event.lastEventId);
    console.log(JSON.stringify({ id: event.lastEventId, data: event.data }));
  };
  source.onerror = () => console.error("an error in state", source.readyState);
};
open();
setInterval(() => {
  if (source.readyState === EventSource.CLOSED) open();
}, 200);
