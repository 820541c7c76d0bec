/* global uPlot */
import { bytes, clock, count, rate, seconds, short } from "./common.js";

// What each figure draws: members of /stats.series, and how a value reads. A limit
// is that of the first member; a floor is one that the values stay above. live is
// the member of /stats.json that says the same of this very moment.
const perSecond = (v) => `${rate(v)} /s`;
const kinds = {
  posts: { of: ["posts_per_second"], text: perSecond, axis: short },
  pulls: { of: ["pulls_per_second"], text: perSecond, axis: short },
  trouble: { of: ["refused_posts_per_second", "limited_per_second", "failures_per_second"], names: ["posts", "429", "5xx"], text: rate, axis: short },
  streams: { of: ["streams"], text: count, axis: short, least: 4, whole: true, limit: "limit", live: "streams_active" },
  connections: { of: ["connections", "long_polls"], names: ["all", "long polls"], text: count, axis: short, least: 4, whole: true, limit: "limit" },
  slots: { of: ["slots"], text: count, axis: short, least: 4, whole: true, limit: "limit", live: "slots_active" },
  commit: { of: ["commit_p50_seconds", "commit_p99_seconds"], names: ["p50", "p99"], text: seconds, axis: seconds, log: true },
  lag: { of: ["stream_lag_p99_seconds"], text: seconds, axis: seconds, log: true },
  cpu: { of: ["cpu_cores"], text: rate, axis: short, limit: "cores" },
  memory: { of: ["memory_bytes"], text: bytes, axis: bytes, least: 1 << 20, binary: true, limit: "limit" },
  held: { of: ["slot_memory_bytes"], text: bytes, axis: bytes, least: 1 << 20, binary: true, limit: "budget" },
  disk: { of: ["disk_free_bytes"], text: bytes, axis: bytes, least: 1 << 20, binary: true, limit: "reserve", floor: true },
};

const wholes = [1, 2, 5].flatMap((m) => Array.from({ length: 12 }, (_, e) => m * 10 ** e)).sort((a, b) => a - b);
const binaries = Array.from({ length: 45 }, (_, e) => 2 ** e);

// A limit far above all values is left to the words below the plot: drawn, it would
// press them flat.
const NEAR = 4;

// Plots draws the figures inside root, with one cursor over all of them. say
// is told what the keyboard reads.
export class Plots {
  #figures;
  #series = { t: [], now_unix: 0, span: 86400, limits: {}, latest: {} };
  #live = null; // of /stats.json
  #away = false; // nobody knows what is now
  #last = null; // index of the latest row
  #say;
  #at = null; // index under the cursor
  #moving = false;

  constructor(root, say) {
    this.#say = say;
    this.#figures = [...root.querySelectorAll("[data-plot]")].map((el) => ({
      kind: kinds[el.dataset.plot],
      name: el.querySelector("h3").textContent,
      box: el.querySelector(".canvas"),
      reading: el.querySelector(".reading"),
      caption: el.querySelector("figcaption"),
    }));
    for (const f of this.#figures) f.box.addEventListener("keydown", (event) => this.#key(f, event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    new ResizeObserver(() => {
      for (const f of this.#figures) f.plot?.setSize(size(f.box));
    }).observe(root);
    this.#draw();
  }

  // show draws a reply of /stats.series, of which span seconds are to be seen.
  show(series, span) {
    this.#series = last(series, span);
    this.#last = latest(this.#series.slots);
    for (const f of this.#figures) {
      f.plot.setData(this.#data(f));
      f.caption.replaceChildren(...this.#summary(f.kind));
      this.#read(f);
    }
  }

  // now takes a reply of /stats.json, or null if there is none.
  now(stats) {
    this.#live = stats;
    this.#away = !stats;
    for (const f of this.#figures) {
      if (this.#last !== null) f.caption.replaceChildren(...this.#summary(f.kind));
      this.#read(f);
    }
  }

  // #data is what is drawn. A logarithmic axis has no place for 0.
  #data(f) {
    const list = (member) => this.#series[member] ?? [];
    return [this.#series.t, ...f.kind.of.map((member) => (f.kind.log ? list(member).map((v) => (v > 0 ? v : null)) : list(member)))];
  }

  // #summary is a plot in words. What is now stands beside the heading already, for
  // those who see it.
  #summary(kind) {
    const series = this.#series;
    if (empty(series)) return ["No rows yet."];
    const limit = this.#limit(kind);
    const bounds = kind.of.map((member) => {
      const list = (series[member] ?? []).filter((v) => v !== null);
      return list.length ? list.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]) : null;
    });
    const most = bounds.map((b, i) => `${kind.names?.[i] ?? ""} ${b ? kind.text(b[1]) : "–"}`.trim()).join(", ");
    let text = bounds[0] && !kind.names ? `min ${kind.text(bounds[0][0])}, max ${most}` : `max ${most}`;
    if (bounds.every((b) => !b)) text = "nothing measured";
    if (limit) text += `, ${kind.limit} ${kind.text(limit)}`;
    return [span(`now ${values(kind, this.#now(kind)).join(", ")}; `, "sr"), text];
  }

  #limit(kind) {
    return kind.limit ? this.#series.limits[kind.of[0]] : undefined;
  }

  // #draw makes the plots anew, with the colours of the theme.
  #draw() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    for (const f of this.#figures) {
      f.plot?.destroy();
      f.plot = new uPlot(this.#options(f, colour), this.#data(f), f.box);
    }
  }

  #options(f, colour) {
    const { kind } = f;
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("muted"), font, grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
    const curves = [
      { stroke: colour("accent"), fill: kind.log ? undefined : colour("area"), width: 1.5 },
      { stroke: colour("second"), width: 1 },
      { stroke: colour("bad"), width: 1.5, dash: [5, 3] },
    ];
    return {
      ...size(f.box),
      padding: [6, 10, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false, setScale: false }, points: { size: 7 } },
      scales: {
        x: { range: () => [this.#series.now_unix - this.#series.span, this.#series.now_unix] },
        y: kind.log ? { distr: 3, range: decades } : { range: (_, min, max) => [0, uPlot.rangeNum(0, this.#top(kind, max ?? 0), 0.1, true)[1]] },
      },
      axes: [
        { ...axis, size: 26, space: 66, values: (_, splits) => splits.map((s) => this.#time(s)) },
        {
          ...axis,
          size: 58,
          space: 26,
          values: (_, splits) => splits.map((v) => (v === null ? "" : kind.axis(v))),
          ...(kind.log && { filter: onlyDecades, grid: { ...axis.grid, filter: onlyDecades } }),
          ...(kind.whole && { incrs: wholes }),
          ...(kind.binary && { incrs: binaries }),
        },
      ],
      series: [{}, ...kind.of.map((_, i) => ({ ...curves[i], points: { show: true, size: 4, filter: alone } }))],
      hooks: {
        setCursor: [(u) => this.#moved(f, u)],
        draw: [(u) => limitLine(u, this.#limit(kind), colour("bad"))],
      },
    };
  }

  // #top is what the axis has to reach: the values, and a limit that is near.
  #top(kind, max) {
    const limit = this.#limit(kind) ?? 0;
    return Math.max(max, kind.least ?? 1, limit <= NEAR * max ? limit : 0);
  }

  // #time labels the axis: hours of a day, days of a week.
  #time(unix) {
    const date = new Date(unix * 1000);
    if (this.#series.span > 48 * 3600) return `${weekday(date)} ${date.getDate()}`;
    return clock(date, false);
  }

  // #moved takes the cursor of one plot to the others.
  #moved(from, u) {
    if (this.#moving) return;
    this.#moving = true;
    this.#at = u.cursor.left >= 0 ? u.cursor.idx : null;
    for (const f of this.#figures) {
      if (f !== from) f.plot?.setCursor({ left: u.cursor.left, top: u.cursor.left < 0 ? -10 : 0 });
      this.#read(f);
    }
    this.#moving = false;
  }

  // #read puts the values at the cursor, or what is now, beside the heading.
  #read(f) {
    let when = "";
    let texts = [];
    if (this.#at !== null) {
      when = `${this.#when(this.#at)}: `;
      texts = values(f.kind, this.#then(this.#at));
    } else if (this.#last !== null) {
      texts = values(f.kind, this.#now(f.kind));
    }
    if (f.reading.textContent === when + texts.join("")) return;
    f.reading.replaceChildren(when, ...texts.map((text, i) => span(text, texts.length > 1 ? keys[i] : "")));
  }

  #then(at) {
    return (member) => this.#series[member]?.[at];
  }
  #now({ live }) {
    if (this.#away) return () => null;
    return (member) => (live && this.#live ? this.#live[live] : this.#series.latest[member]);
  }

  #when(at) {
    const date = new Date(this.#series.t[at] * 1000);
    return this.#series.span > 48 * 3600 ? `${weekday(date)} ${clock(date, false)}` : clock(date, false);
  }

  // #key moves the cursor by keyboard, ten points with Shift.
  #key(f, event) {
    const { t } = this.#series;
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity, Escape: 0 }[event.key];
    if (step === undefined || this.#last === null) return;
    event.preventDefault();
    if (event.key === "Escape") {
      f.plot.setCursor({ left: -10, top: -10 });
      return;
    }
    const from = this.#at ?? this.#last + 1;
    const at = Math.min(Math.max(from + step * (event.shiftKey ? 10 : 1), 0), t.length - 1);
    f.plot.setCursor({ left: f.plot.valToPos(t[at], "x"), top: 0 });
    this.#say(`${this.#when(at)}, ${f.name}: ${values(f.kind, this.#then(at)).join(", ")}`);
  }
}

const weekday = (date) => date.toLocaleDateString("en", { weekday: "short" });
const size = (box) => ({ width: box.clientWidth, height: box.clientHeight });
const isDecade = (v) => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6;
const onlyDecades = (_, splits) => splits.map((v) => (isDecade(v) ? v : null));

// decades is the range of a logarithmic axis: two whole decades or more.
function decades(_, min, max) {
  const from = Math.floor(Math.log10(min ?? 1e-4));
  return [10 ** from, 10 ** Math.max(Math.ceil(Math.log10(max ?? 1e-2)), from + 2)];
}

// limitLine draws a limit, if it lies within the axis.
function limitLine(u, limit, colour) {
  if (limit === undefined || limit > u.scales.y.max) return;
  const { ctx, bbox } = u;
  const y = Math.round(u.valToPos(limit, "y", true)) + 0.5;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

// keys are the classes of the names of a figure's curves.
const keys = ["key", "key thin", "key dashed"];

function span(text, kind) {
  return Object.assign(document.createElement("span"), { className: kind, textContent: text });
}

// alone lists the points without a neighbour, which no line would show.
function alone(u, i) {
  const list = u.data[i];
  const at = [];
  list.forEach((v, n) => {
    if (v !== null && (list[n - 1] ?? null) === null && (list[n + 1] ?? null) === null) at.push(n);
  });
  return at;
}

// values is what a figure shows at one moment, a text for each curve; value finds
// it for a member.
function values(kind, value) {
  return kind.of.map((member, i) => {
    const v = value(member) ?? null;
    return (kind.names ? `${kind.names[i]} ` : "") + (v === null ? "–" : kind.text(v));
  });
}

// last cuts a series to its last span seconds.
function last(series, span) {
  const from = series.t.findIndex((t) => t >= series.now_unix - span);
  const cut = { ...series, span };
  for (const [name, list] of Object.entries(series)) {
    if (Array.isArray(list)) cut[name] = from < 0 ? [] : list.slice(from);
  }
  return cut;
}

// latest is the index of the last value, or null.
function latest(list) {
  const at = list.findLastIndex((v) => v !== null);
  return at < 0 ? null : at;
}

// empty says whether no row lies in the range.
export const empty = (series) => latest(series.slots) === null;

// since is the time of the first row, in Unix seconds.
export const since = (series) => series.t[series.slots.findIndex((v) => v !== null)];
