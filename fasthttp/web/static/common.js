// What all pages use: asking the relay again and again, saying whether it can
// be reached, and numbers as text. Text goes into the page by textContent only.

export const $ = (id) => document.getElementById(id);

class BadStatus extends Error {}

// json fetches a JSON reply of the relay, within 8 s.
export async function json(path) {
  const reply = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(8000) });
  if (!reply.ok) throw new BadStatus(reply.status);
  return reply.json();
}

// poll calls run now, and again ms after each end of it, while the page is
// visible. It returns a function that makes it run at once.
export function poll(ms, run) {
  let timer = 0;
  let busy = false;
  let again = false;
  async function tick() {
    clearTimeout(timer);
    if (busy) again = true;
    if (busy || document.hidden) return;
    busy = true;
    again = false;
    await run();
    busy = false;
    if (!document.hidden) timer = setTimeout(tick, again ? 0 : ms);
  }
  document.addEventListener("visibilitychange", tick);
  tick();
  return tick;
}

// watch polls /stats.json every two seconds, hands each reply to show, and
// keeps the status line true.
export function watch(show) {
  let failing = null;
  const say = (state, text) => {
    $("status").dataset.state = state;
    if ($("status-text").textContent !== text) $("status-text").textContent = text;
  };
  poll(2000, async () => {
    try {
      const stats = await json("/stats.json");
      failing = null;
      say("up", "Up and serving");
      show(stats);
    } catch (err) {
      failing ??= new Date();
      const what = err instanceof BadStatus ? `The relay answers with status ${err.message}` : "The relay can't be reached";
      say("down", `${what}, since ${clock(failing)}. Trying again every 2 s.`);
      show(null);
    }
  });
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const digits = (n, d) => n.toLocaleString("en", { minimumFractionDigits: d, maximumFractionDigits: d });
// three shows n with three digits that count, as far as it has them.
const three = (n) => digits(n, n >= 100 || Number.isInteger(n) ? 0 : n >= 10 ? 1 : 2);

export const count = (n) => whole.format(n);
export const rate = (n) => (n >= 100 ? whole.format(n) : three(n));

function scaled(n, base, units) {
  let i = 0;
  while (i < units.length - 1 && n >= base * 0.9995) {
    n /= base;
    i++;
  }
  return `${three(n)} ${units[i]}`.trim();
}
export function short(n) {
  const e = n >= 1e9 ? 3 : n >= 1e6 ? 2 : n >= 1e3 ? 1 : 0;
  return Number((n / 1000 ** e).toPrecision(3)) + ["", "k", "M", "G"][e];
}
export const bytes = (n) => scaled(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
export const seconds = (n) => (n === 0 ? "0" : n < 1 ? scaled(n * 1e6, 1000, ["µs", "ms", "s"]) : `${three(n)} s`);

export function duration(s) {
  const d = Math.floor(s / 86400);
  const h = Math.floor(s / 3600) % 24;
  const m = Math.floor(s / 60) % 60;
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${m} min`;
  return m > 0 ? `${m} min` : `${s % 60} s`;
}

// clock is the local time of day, in the 24 hours that need no more room.
export const clock = (date, seconds = true) =>
  date.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hourCycle: "h23" });
