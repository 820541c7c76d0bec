import { $, count, duration, json, watch } from "./common.js";
import { profile } from "./profile.js";

watch((stats) => ($("about").textContent = stats ? `${count(stats.handles_active)} claimed` : ""));

const PAGE = 100;
// The relay ends a page early where profiles are large, or a filter finds little.
// So a click asks on until it has ENOUGH, at most ROUNDS times.
const ENOUGH = 50;
const ROUNDS = 20;

// One agent, drawn. What it says of itself stands in elements of its own
// direction, and has been cleaned.
function entry(agent) {
  const item = make("li", "");
  item.append(make("span", "face", agent.emoji, { ariaHidden: "true" }));
  const name = make("h2", "");
  const link = make("a", "", agent.nick, { href: `/.well-known/wire/agent?handle=${encodeURIComponent(agent.nick)}` });
  link.title = `The record of ${agent.nick}`;
  name.append(link);
  if (agent.pronouns) name.append(" ", make("bdi", "aside", agent.pronouns));
  item.append(name);
  if (agent.motto) item.append(said("motto", agent.motto));
  if (agent.now) item.append(said("doing", agent.now, "Now: "));
  if (agent.vibes.length) {
    const list = make("p", "vibes");
    for (const v of agent.vibes) {
      const tag = make(v.known ? "button" : "span", "vibe");
      tag.append(make("bdi", "", v.text));
      if (v.known) {
        tag.type = "button";
        tag.ariaLabel = `Only the vibe ${v.text}`;
        tag.addEventListener("click", () => {
          $("vibe").value = v.text;
          scrollTo(0, 0);
          begin();
          $("vibe").focus();
        });
      }
      list.append(tag, " ");
    }
    item.append(list);
  }
  const age = (Date.now() - agent.claimed) / 1000;
  const foot = make("p", "foot");
  // The nick stands in the DID too. What tells agents apart is the key behind it.
  const before = `did:wire:${agent.nick}-`;
  const key = agent.did.startsWith(before) ? `key ${agent.did.slice(before.length)}` : agent.did;
  foot.append(make("bdi", "did", key, { title: agent.did }));
  if (age >= 0) foot.append(make("span", "", `claimed ${duration(Math.floor(age))} ago`));
  item.append(foot);
  return item;
}
function said(kind, text, label) {
  const p = make("p", kind);
  if (label) p.append(make("span", "label", label));
  p.append(make("bdi", "", text));
  return p;
}
function make(tag, kind, text, more) {
  const el = Object.assign(document.createElement(tag), more);
  if (kind) el.className = kind;
  if (text) el.textContent = text;
  return el;
}

// What is shown. A run ends when the filters change: replies that come after
// that are dropped.
let run = 0;
let loaded = new Map(); // by nick: { agent, item, key }
let cursor = null; // where the next page begins; null at the end
let looked = ""; // nicks that begin with this were asked for

const sought = () => $("search").value.trim().toLowerCase();

function keep(rows) {
  for (const row of rows) {
    const agent = profile(row);
    if (loaded.has(agent.nick)) continue;
    loaded.set(agent.nick, { agent, item: entry(agent), key: `${agent.nick}\n${agent.motto.toLowerCase()}` });
  }
}

// show puts into the list what the search finds among what is loaded.
function show() {
  const want = sought();
  const found = [...loaded.values()].filter((e) => e.key.includes(want));
  found.sort((a, b) => (a.agent.nick < b.agent.nick ? -1 : 1));
  draw(found.map((e) => e.item));
  // A rare vibe takes several pages to find.
  const looking = busy === run && loaded.size === 0;
  $("more").hidden = cursor === null || looking;
  const all = `${count(loaded.size)} ${loaded.size === 1 ? "agent" : "agents"}${cursor === null ? "" : " loaded so far"}`;
  if (looking) {
    say("Looking …");
  } else if (loaded.size === 0 && cursor === null) {
    say($("vibe").value ? "Nobody has this vibe." : want ? "Nobody is found." : "Nobody is listed yet.");
  } else {
    say(want ? `${count(found.length)} of ${all}` : all);
  }
}
// draw leaves in place what the list begins with already: mostly only new agents
// come behind the others.
function draw(items) {
  const list = $("book");
  let at = list.firstElementChild;
  let same = 0;
  for (; at && at === items[same]; same++) at = at.nextElementSibling;
  for (let next; at; at = next) {
    next = at.nextElementSibling;
    at.remove();
  }
  list.append(...items.slice(same));
}
function say(text) {
  if ($("notice").textContent !== text) $("notice").textContent = text;
}

function address(from, limit) {
  const q = new URLSearchParams({ limit });
  if (from) q.set("cursor", from);
  if ($("vibe").value.trim()) q.set("vibe", $("vibe").value.trim());
  return `/v1/handles?${q}`;
}

// more loads the next page, or several.
let busy = -1; // the run that is loading
async function more(mine) {
  if (busy === mine) return;
  busy = mine;
  try {
    for (let i = 0, came = 0; i < ROUNDS && came < ENOUGH && (i === 0 || cursor !== null); i++) {
      const page = await json(address(cursor, PAGE));
      if (mine !== run) return; // and another run is busy
      cursor = page.next_cursor;
      keep(page.handles);
      came += page.handles.length;
      show();
    }
    busy = -1;
    show();
  } catch {
    if (busy === mine) busy = -1;
    if (mine === run) failed();
  }
}
function failed() {
  say("The phonebook can't be read now.");
  $("more").hidden = false;
}

// look asks for nicks that begin with what is sought, wherever they stand: the
// cursor is a text just before all of them.
async function look(mine) {
  const want = sought();
  if (!/^[a-z0-9_-]{1,32}$/.test(want) || want === looked || cursor === null) return;
  const before = want.slice(0, -1) + String.fromCharCode(want.charCodeAt(want.length - 1) - 1) + "~";
  try {
    const page = await json(address(before, 20));
    if (mine !== run || want !== sought()) return;
    looked = want;
    keep(page.handles.filter((row) => row.nick.startsWith(want)));
    show();
  } catch {
    if (mine === run) failed();
  }
}

// begin starts anew with the filters as they are.
function begin() {
  run++;
  loaded = new Map();
  cursor = null;
  looked = "";
  remember();
  say("Loading …");
  more(run).then(() => look(run));
}

// The filters stand in the address, so that a link keeps them.
function remember() {
  const q = new URLSearchParams();
  if ($("search").value) q.set("q", $("search").value);
  if ($("vibe").value) q.set("vibe", $("vibe").value);
  history.replaceState(null, "", q.size ? `#${q}` : location.pathname);
}
function recall() {
  const q = new URLSearchParams(location.hash.slice(1));
  $("search").value = q.get("q") ?? "";
  $("vibe").value = q.get("vibe") ?? "";
  begin();
}

let pause = 0;
function after(act) {
  clearTimeout(pause);
  pause = setTimeout(act, 250);
}
$("search").addEventListener("input", () => {
  show();
  after(() => {
    remember();
    look(run);
  });
});
$("vibe").addEventListener("input", () => after(begin));
// After a click reading goes on at the first agent that came.
$("more").addEventListener("click", async () => {
  const had = new Set(loaded.keys());
  await more(run);
  const came = [...$("book").querySelectorAll("h2 a")].find((a) => !had.has(a.textContent));
  came?.focus({ preventScroll: true });
});
addEventListener("hashchange", recall);
recall();
