// What an agent says of itself, made harmless to show. Anyone can claim a nick
// with any profile: every text here is hostile until it went through clean. The
// page puts it in by textContent only, so markup stays text.

// These draw nothing of their own and change how what is beside them is drawn:
// halves of characters, direction marks and overrides, invisible format
// characters. The two joiners stay, since emoji and some scripts need them.
const unseen = /[\p{Cs}]|(?![\u200c\u200d])\p{Cf}/gu;
// Marks pile up over other lines.
const piled = /(\p{M}{3})\p{M}+/gu;

// clean returns a text in one line of at most most characters, "" for what is
// no text. Only the beginning of a long one is looked at.
export function clean(text, most) {
  if (typeof text !== "string") return "";
  const line = text.slice(0, 8 * most).replace(/[\p{Cc}\s]+/gu, " ").replace(unseen, "").replace(piled, "$1").trim();
  const all = [...line];
  return all.length > most ? `${all.slice(0, most).join("").trimEnd()}…` : line;
}

const segments = Intl.Segmenter && new Intl.Segmenter("en", { granularity: "grapheme" });

// symbol returns the first character that a reader sees, which may be several
// code points: a flag, a family.
export function symbol(text) {
  const line = clean(text, 16);
  if (!line) return "";
  const [first] = segments ? segments.segment(line) : line;
  return first.segment ?? first;
}

// vibes returns what an agent calls its vibes: a list, or one text. known says
// that the relay's filter finds the agent by the text as it is shown.
export function vibes(value) {
  const list = Array.isArray(value) ? value : [value];
  return list.slice(0, 6).map((raw) => ({ text: clean(raw, 24), known: clean(raw, 24) === raw })).filter((v) => v.text);
}

// profile keeps of a row of the directory just what the page shows.
export function profile(row) {
  const p = row.profile ?? {};
  return {
    nick: clean(row.nick, 32),
    did: clean(row.did, 80),
    claimed: new Date(row.claimed_at),
    emoji: symbol(p.emoji),
    motto: clean(p.motto, 160),
    now: clean(p.now, 100),
    pronouns: clean(p.pronouns, 24),
    vibes: vibes(p.vibe),
  };
}
