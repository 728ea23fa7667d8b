// Who else is here: told to the server as one opens, writes and leaves, and shown beside the answer and in the list.
//
// A tab that is out of sight is nowhere. What one writes is never sent; only that one writes.

import { tell } from "./live.js";
import { openConversation } from "./reading.js";
import { say } from "./words.js";

const SETTLE_MS = 250;
const TYPING_MS = 6_000;

const people = new Map();
let settling = 0;
let stopped = 0;
let isTyping = false;
const newer = new Set();

export function startPresence() {
  document.addEventListener("mail:present", ({ detail }) => {
    people.set(detail.present, detail.people.filter((one) => one.person !== document.body.dataset.person));
    draw();
  });
  document.addEventListener("live:beat", tellPlace);
  document.addEventListener("visibilitychange", tellPlace);
  document.addEventListener("htmx:after:swap", () => { moved(); draw(); });
  addEventListener("popstate", moved);
  document.addEventListener("input", ({ target }) => target.closest?.("#conversation mail-composer") && typed());
  document.addEventListener("submit", ({ target }) => target.closest?.("mail-composer") && rested());
  new MutationObserver(watchArrivals).observe(document.getElementById("shell") ?? document.body, { childList: true, subtree: true });
  moved();
}

/** Where this tab is: a conversation, a list, or nowhere that anybody needs to know of. */
function place() {
  const open = openConversation();
  const list = document.querySelector("conversation-list");
  if (open && !document.hidden) return { mailbox: open.dataset.mailbox, thread: open.dataset.thread, typing: isTyping };
  const mailbox = open?.dataset.mailbox ?? list?.dataset.mailbox;
  return mailbox ? { mailbox, thread: null, typing: false } : null;
}

function tellPlace() {
  const at = place();
  if (at) tell({ at });
}

/** Not every conversation one passes by with a key is worth telling. */
function moved() {
  clearTimeout(settling);
  if (!openConversation()?.contains(document.activeElement)) isTyping = false;
  settling = setTimeout(tellPlace, SETTLE_MS);
}

function typed() {
  clearTimeout(stopped);
  stopped = setTimeout(rested, TYPING_MS);
  if (isTyping) return;
  isTyping = true;
  tellPlace();
}

function rested() {
  clearTimeout(stopped);
  if (!isTyping) return;
  isTyping = false;
  tellPlace();
}

function draw() {
  const open = openConversation();
  if (open) drawBesideAnswer(open, here(open.dataset.mailbox, open.dataset.thread));
  const list = document.querySelector("conversation-list");
  if (list) drawInList(list, people.get(list.dataset.mailbox) ?? []);
}

/** Each person once, however many tabs they have; writing if they write in one of them. */
function here(mailbox, thread) {
  const found = new Map();
  for (const one of people.get(mailbox) ?? []) {
    if (one.thread === thread && !found.get(one.person)?.typing) found.set(one.person, one);
  }
  return [...found.values()];
}

function drawBesideAnswer(open, present) {
  const line = open.querySelector("[data-present]");
  if (!line) return;
  const writing = present.filter((one) => one.typing);
  const told = writing.length ? sentence("typing", writing) : present.length ? sentence("viewing", present) : "";
  const shown = line.querySelector("[data-words]");
  if (shown.textContent === told) return;
  line.hidden = !told;
  line.classList.toggle("wait", writing.length > 0);
  line.querySelector("[data-faces]").replaceChildren(...present.slice(0, 4).map(face));
  shown.textContent = told;
}

function drawInList(list, present) {
  for (const mark of list.querySelectorAll(".row > .present")) mark.remove();
  for (const thread of new Set(present.map((one) => one.thread))) {
    const row = list.querySelector(`#row-${CSS.escape(thread)}`);
    if (!row) continue;
    const [first] = here(list.dataset.mailbox, thread).sort((a, b) => b.typing - a.typing);
    const mark = Object.assign(document.createElement("span"), { className: "present", title: sentence(first.typing ? "typing" : "viewing", [first]) });
    mark.classList.toggle("typing", first.typing);
    mark.append(face(first), Object.assign(document.createElement("span"), { className: "sr", textContent: mark.title }));
    row.append(mark);
  }
}

function sentence(key, present) {
  const names = new Intl.ListFormat(document.documentElement.lang, { type: "conjunction" }).format(present.map((one) => one.name));
  return say(key, { names, count: present.length });
}

function face(one) {
  const element = Object.assign(document.createElement("span"), { className: `av hue-${one.hue}`, textContent: one.initials });
  element.ariaHidden = "true";
  return element;
}

/** Somebody answered while one wrote: said where one is about to send. `mail:newer` is for the composer's own guard. */
function watchArrivals(changes) {
  const open = openConversation();
  if (!open) return;
  for (const { target, addedNodes } of changes) {
    if (target.id !== "messages") continue;
    for (const node of addedNodes) if (node.matches?.("section.msg:not(.notice)")) arrived(open, node);
  }
}

function arrived(open, message) {
  const written = [...open.querySelectorAll("mail-composer form:not([hidden]) textarea, mail-composer [contenteditable]")];
  if (newer.has(message.id)) return;
  newer.add(message.id);
  document.dispatchEvent(new CustomEvent("mail:newer", { detail: { thread: open.dataset.thread, message: message.id } }));
  if (!written.some((field) => (field.value ?? field.textContent).trim())) return;
  const line = open.querySelector("[data-newer]");
  if (!line) return;
  line.querySelector("a").href = `#${message.id}`;
  line.querySelector("[data-words]").textContent = say("newer", { label: message.getAttribute("aria-label") ?? "" });
  line.hidden = false;
}
