import { $, count, duration, json, poll, rate, watch } from "./common.js";
import { empty, Plots, since } from "./plots.js";

// Live numbers. A rate is the difference over the last ten seconds.
const samples = [];
watch((stats) => {
  $("tiles").classList.toggle("stale", !stats);
  if (!stats) {
    samples.length = 0;
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
const names = { 1: "hour", 24: "24 hours", 168: "7 days" };
const plots = new Plots($("plots"), (text) => ($("spoken").textContent = text));
let hours = 24;
let chosen = false; // by a person, or once for all by the page

function choose(h) {
  hours = names[h] ? h : 24;
  $("span").textContent = names[hours];
  for (const b of document.querySelectorAll("[data-hours]")) b.setAttribute("aria-pressed", String(Number(b.dataset.hours) === hours));
}
function fromAddress() {
  chosen = location.hash !== "";
  choose(Number(location.hash.replace("#hours=", "")));
}
fromAddress();

const load = poll(30_000, async () => {
  const asked = hours;
  try {
    const series = await json(`/stats.series?hours=${asked}`);
    if (asked !== hours) return; // another range was chosen meanwhile, and is asked for next
    if (!chosen && !empty(series)) {
      chosen = true;
      if (since(series) > series.now_unix - 3600) { // a young relay: a day would be nearly blank
        choose(1);
        load();
        return;
      }
    }
    $("notice").textContent = empty(series) ? "No rows yet: one is taken every 30 s." : "";
    plots.show(series);
  } catch {
    $("notice").textContent = "The history can't be read now. Trying again every 30 s.";
  }
});
for (const b of document.querySelectorAll("[data-hours]")) {
  b.addEventListener("click", () => {
    history.replaceState(null, "", `#hours=${b.dataset.hours}`);
    choose(Number(b.dataset.hours));
    load();
  });
}
addEventListener("hashchange", () => {
  fromAddress();
  load();
});
