import { $, count, duration, json, poll, rate, watch } from "./common.js";
import { empty, Plots, since } from "./plots.js";

const plots = new Plots($("plots"), (text) => ($("spoken").textContent = text));

// Live numbers. A rate is the difference over the last ten seconds.
const samples = [];
watch((stats) => {
  $("tiles").classList.toggle("stale", !stats);
  plots.now(stats);
  if (!stats) {
    samples.length = 0;
    $("about").textContent = ""; // nobody knows for how long it is up
    document.querySelector("[data-live=rate]").textContent = "–";
    return;
  }
  const now = performance.now() / 1000;
  const last = samples.at(-1);
  if (last && (stats.uptime_seconds < last.uptime || now - last.now > 10)) samples.length = 0; // restarted, or the page was hidden
  samples.push({ now, uptime: stats.uptime_seconds, events: stats.events_posted_total });
  while (now - samples[0].now > 11) samples.shift();
  const first = samples[0];
  const live = {
    rate: samples.length > 1 ? rate((stats.events_posted_total - first.events) / (now - first.now)) : "–",
    streams: count(stats.streams_active),
    slots: count(stats.slots_active),
    events: count(stats.events_posted_total),
    allocations: count(stats.slot_allocations_total),
    handles: count(stats.handles_active),
    claims: count(stats.handle_claims_total),
    pairs: count(stats.pair_slots_open),
  };
  for (const at of document.querySelectorAll("[data-live]")) at.textContent = live[at.dataset.live];
  $("about").textContent = `${stats.version}, up for ${duration(stats.uptime_seconds)}`;
});

// Plots of the past. The range stands in the address, so that a link keeps it.
const ranges = {
  "15m": { name: "15 minutes", span: 900, hours: 1 },
  "1h": { name: "hour", span: 3600, hours: 1 },
  "24h": { name: "24 hours", span: 86400, hours: 24 },
  "7d": { name: "7 days", span: 7 * 86400, hours: 168 },
};
// Links of earlier releases name hours.
const earlier = { "#hours=1": "1h", "#hours=24": "24h", "#hours=168": "7d" };
let range = "24h";
let chosen = false; // by a person, or once for all by the page

function choose(r) {
  range = ranges[r] ? r : "24h";
  $("span").textContent = ranges[range].name;
  for (const b of document.querySelectorAll("[data-range]")) b.setAttribute("aria-pressed", String(b.dataset.range === range));
}
function fromAddress() {
  chosen = location.hash !== "";
  choose(earlier[location.hash] ?? location.hash.replace("#range=", ""));
}
fromAddress();

const load = poll(15_000, async () => {
  const asked = range;
  try {
    const series = await json(`/stats.series?hours=${ranges[asked].hours}`);
    if (asked !== range) return; // another range was chosen meanwhile, and is asked for next
    if (!chosen && !empty(series)) {
      chosen = true;
      // A young relay: a day would be nearly blank.
      const young = Object.keys(ranges).find((r) => since(series) > series.now_unix - ranges[r].span);
      if (young && ranges[young].hours < 24) {
        choose(young);
        load();
        return;
      }
    }
    $("notice").textContent = empty(series) ? "No rows yet: one is taken every 30 s." : "";
    plots.show(series, ranges[asked].span);
  } catch {
    $("notice").textContent = "The history can't be read now. Trying again every 15 s.";
  }
});
for (const b of document.querySelectorAll("[data-range]")) {
  b.addEventListener("click", () => {
    history.replaceState(null, "", `#range=${b.dataset.range}`);
    choose(b.dataset.range);
    load();
  });
}
addEventListener("hashchange", () => {
  fromAddress();
  load();
});
