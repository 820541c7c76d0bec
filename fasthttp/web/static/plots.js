/* global uPlot */
import { bytes, clock, count, rate, seconds, short } from "./common.js";

// What each figure draws: members of /stats.series, and how a value reads.
const kinds = {
  posts: { of: ["posts_per_second"], text: (v) => `${rate(v)} /s`, axis: short },
  pulls: { of: ["pulls_per_second"], text: (v) => `${rate(v)} /s`, axis: short },
  streams: { of: ["streams"], text: (v) => count(v), axis: short, least: 4, whole: true },
  slots: { of: ["slots"], text: (v) => count(v), axis: short, least: 4, whole: true },
  commit: { of: ["commit_p50_seconds", "commit_p99_seconds"], names: ["p50", "p99"], text: seconds, axis: seconds, least: 1e-4 },
  memory: { of: ["memory_bytes"], text: bytes, axis: bytes, least: 1 << 20, binary: true },
};

const wholes = [1, 2, 5].flatMap((m) => Array.from({ length: 12 }, (_, e) => m * 10 ** e)).sort((a, b) => a - b);
const binaries = Array.from({ length: 45 }, (_, e) => 2 ** e);

// Plots draws the figures inside root, with one cursor over all of them. say
// is told what the keyboard reads.
export class Plots {
  #figures;
  #series = { t: [], hours: 24, now_unix: 0 };
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

  // show draws a reply of /stats.series.
  show(series) {
    this.#series = series;
    this.#last = latest(series.slots);
    for (const f of this.#figures) {
      f.plot.setData(this.#data(f));
      f.caption.replaceChildren(...summary(f.kind, series).map(line));
      this.#read(f);
    }
  }

  #data(f) {
    return [this.#series.t, ...f.kind.of.map((member) => this.#series[member] ?? [])];
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
    return {
      ...size(f.box),
      padding: [6, 10, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false, setScale: false }, points: { size: 7 } },
      scales: {
        x: { range: () => [this.#series.now_unix - this.#series.hours * 3600, this.#series.now_unix] },
        y: { range: (_, min, max) => [0, uPlot.rangeNum(0, Math.max(max ?? 0, kind.least ?? 1), 0.1, true)[1]] },
      },
      axes: [
        { ...axis, size: 26, space: 66, values: (_, splits) => splits.map((s) => this.#time(s)) },
        {
          ...axis,
          size: 54,
          space: 26,
          values: (_, splits) => splits.map(kind.axis),
          ...(kind.whole && { incrs: wholes }),
          ...(kind.binary && { incrs: binaries }),
        },
      ],
      series: [
        {},
        ...kind.of.map((_, i) => ({
          stroke: colour(i === 0 ? "accent" : "second"),
          fill: i === 0 ? colour("area") : undefined,
          width: i === 0 ? 1.5 : 1,
          points: { show: true, size: 4, filter: alone },
        })),
      ],
      hooks: { setCursor: [(u) => this.#moved(f, u)] },
    };
  }

  // #time labels the axis: hours of a day, days of a week.
  #time(unix) {
    const date = new Date(unix * 1000);
    if (this.#series.hours > 48) return `${weekday(date)} ${date.getDate()}`;
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

  // #read puts the values at the cursor, or the latest, beside the heading.
  #read(f) {
    const at = this.#at ?? this.#last;
    const when = this.#at === null ? "" : `${this.#when(at)}: `;
    f.reading.textContent = at === null ? "\u00a0" : when + values(f.kind, this.#series, at);
  }

  #when(at) {
    const date = new Date(this.#series.t[at] * 1000);
    return this.#series.hours > 48 ? `${weekday(date)} ${clock(date, false)}` : clock(date, false);
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
    this.#say(`${this.#when(at)}, ${f.name}: ${values(f.kind, this.#series, at)}`);
  }
}

const weekday = (date) => date.toLocaleDateString("en", { weekday: "short" });
const size = (box) => ({ width: box.clientWidth, height: box.clientHeight });

function line(text) {
  const span = document.createElement("span");
  span.textContent = text;
  return span;
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

function values(kind, series, at) {
  return kind.of
    .map((member, i) => {
      const v = series[member]?.[at] ?? null;
      return (kind.names ? `${kind.names[i]} ` : "") + (v === null ? "–" : kind.text(v));
    })
    .join(" · ");
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

// summary is a plot in words, a line for each of its curves.
function summary(kind, series) {
  if (empty(series)) return ["No rows yet."];
  return kind.of.map((member, i) => {
    const list = (series[member] ?? []).filter((v) => v !== null);
    const name = kind.names ? `${kind.names[i]} ` : "";
    if (list.length === 0) return `${name}nothing measured`;
    const [min, max] = list.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    return `${name}latest ${kind.text(list.at(-1))}, min ${kind.text(min)}, max ${kind.text(max)}`;
  });
}
