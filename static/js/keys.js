// One registry of commands. It feeds the shortcuts and the help; every command is also a button on the page.
//
// Shortcuts are single letters, so they can be switched off (WCAG 2.1.4), and they sleep while one types.

import { currentList } from "./list.js";
import { backToList } from "./panes.js";
import { openConversation } from "./reading.js";

const OFF = "shortcuts:off";

/** Each presses the page's own button where there is one, so that both ways do the very same thing. */
const COMMANDS = {
  j: () => currentList()?.move(1),
  k: () => currentList()?.move(-1),
  o: () => currentList()?.openCurrent(),
  u: () => backToList(),
  e: () => press("done"),
  "#": () => press("trash"),
  s: () => press("star"),
  "!": () => press("spam"),
  U: () => press("unread"),
  m: () => press("merge"),
  i: () => press("customer"),
  r: () => composer()?.begin("reply"),
  a: () => composer()?.begin("reply", { replyAll: true }),
  n: () => composer()?.begin("note"),
  c: () => document.querySelector("[data-command=compose]")?.click(),
  "/": () => document.querySelector("#search")?.focus(),
  "?": () => openHelp(),
};

function composer() {
  return openConversation()?.querySelector("mail-composer") ?? null;
}

function press(name) {
  document.querySelector(`#reading [data-command="${name}"]`)?.click();
}

function openHelp() {
  const dialog = document.getElementById("help");
  if (dialog && !dialog.open) dialog.showModal();
}

export function startKeys() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-opens-help]")) openHelp();
    const closer = event.target.closest("[data-closes]");
    if (closer || event.target.matches("dialog")) event.target.closest("dialog").close();
  });
  document.addEventListener("change", (event) => {
    if (event.target.id === "shortcuts") setOff(!event.target.checked);
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.id === "help") document.getElementById("shortcuts").checked = !isOff();
  }, true);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  // Help stays reachable by its key, or nobody would find the switch again.
  if (isOff() && event.key !== "?") return;
  const command = COMMANDS[event.key];
  if (!command) return;
  event.preventDefault();
  command();
}

/** A box to tick takes no letters; and one in a dialog that has just closed keeps the focus for a frame. */
function isTyping(element) {
  return element.closest?.('input:not([type="checkbox"], [type="radio"]), textarea, select, [contenteditable]') !== null;
}

function isOff() {
  try {
    return localStorage.getItem(OFF) === "1";
  } catch {
    return false; // no storage in this browser: the switch lasts as long as the page
  }
}

function setOff(off) {
  try {
    localStorage.setItem(OFF, off ? "1" : "0");
  } catch (error) {
    console.warn("the choice is not kept:", error.message);
  }
}
