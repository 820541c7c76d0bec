import { $, count, duration, watch } from "./common.js";

for (const at of document.querySelectorAll("[data-origin]")) at.textContent = location.origin;

// Each shell block gets a button that copies it.
for (const block of document.querySelectorAll(".shell")) {
  const code = block.querySelector("code");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${block.querySelector("pre").getAttribute("aria-label")}`);
  button.addEventListener("click", async () => {
    button.textContent = (await copy(code)) ? "Copied" : "Press Ctrl-C";
    $("spoken").textContent = button.textContent;
    setTimeout(() => {
      button.textContent = "Copy";
      $("spoken").textContent = "";
    }, 2000);
  });
  block.append(button);
}

// copy works without the clipboard API too, which pages over plain HTTP lack;
// at the worst the text stays selected.
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  }
}

const facts = {
  version: (s) => s.version,
  uptime: (s) => duration(s.uptime_seconds),
  slots: (s) => count(s.slots_active),
  handles: (s) => count(s.handles_active),
  streams: (s) => count(s.streams_active),
  events: (s) => count(s.events_posted_total),
};
watch((stats) => {
  $("facts").classList.toggle("stale", !stats);
  if (!stats) {
    document.querySelector("[data-fact=uptime]").textContent = "–"; // nobody knows
    return;
  }
  for (const at of document.querySelectorAll("[data-fact]")) at.textContent = facts[at.dataset.fact](stats);
});
