// What one does to conversations of the list: to those that are ticked, to the one that is open, or to the one that
// keys are on. It shows at once; the server is told in one request; one toast takes all of it back.

import { showNext } from "./actions.js";
import { currentList } from "./list.js";
import { refreshAll } from "./live.js";
import { clearPicked, pickedThreads, togglePicked } from "./picking.js";
import { openConversation } from "./reading.js";
import { post, Refused } from "./request.js";
import { closeSheets, meantBySheet, openSheet, startSheets } from "./sheets.js";
import { toast } from "./toasts.js";
import { say } from "./words.js";

// Five thousand conversations may take a while.
const TIMEOUT_MS = 120_000;
const FOLDER_AFTER = { archive: "archive", inbox: "inbox", not_spam: "inbox", trash: "trash", spam: "spam", snooze: "snoozed" };
const OUT_OF_SEARCHES = new Set(["trash", "spam"]);
// Commands by what they do to a row; the open conversation has buttons of its own for most of them.
const BY_COMMAND = { trash: "trash", spam: "spam", unread: "unread", read: "read", archive: "archive" };

export function startHandling() {
  startSheets({ chosen: handle, target });
  document.addEventListener("command", (event) => {
    if (handleCommand(event.detail.name)) event.preventDefault();
  });
  document.addEventListener("click", ({ target: pressed }) => {
    const button = pressed.closest?.("button[data-do]");
    if (!button) return;
    const own = button.dataset.valueFrom;
    const value = own ? document.getElementById(own).value : button.dataset.value;
    if (own && !(new Date(value) > new Date())) {
      toast(say("snooze_past"), { tone: "bad" });
      return;
    }
    handle(button.dataset.do, value, button.dataset.done, button.closest("#bar") ? openTarget() : target());
  });
}

/** What a command does when something is ticked, or when no conversation is open: true where it was done. */
function handleCommand(name) {
  const list = currentList();
  if (!list) return false;
  if (name === "select") {
    togglePicked();
    return true;
  }
  if (name === "snooze" || name === "label") {
    const { threads } = target();
    if (threads.length) openSheet(name, list.currentRow ?? openConversation());
    return true;
  }
  const isFor = pickedThreads().count > 0 || (!openConversation() && list.currentRow);
  if (!isFor) return false;
  const bar = document.getElementById("handle");
  const deed = name === "done" ? bar.dataset.doneDeed : name === "star" ? starDeed() : BY_COMMAND[name];
  const button = document.querySelector(`#list [data-do="${deed}"]`);
  if (!button) return false;
  handle(deed, undefined, button.dataset.done);
  return true;
}

/** What is ticked; else the open conversation, or the row that keys are on. */
function target() {
  const meant = meantBySheet();
  if (meant) return meant;
  const ticked = pickedThreads();
  if (ticked.count) return ticked;
  return openConversation() ? openTarget() : one(currentList()?.currentRow?.dataset.thread);
}

/** What the bar above the open conversation acts on, whatever is ticked. */
function openTarget() {
  return one(openConversation()?.dataset.thread);
}

function one(thread) {
  return { threads: thread ? [thread] : [], all: false, count: thread ? 1 : 0 };
}

function starDeed() {
  const rows = target().threads.map((thread) => currentList().row(thread)).filter(Boolean);
  return rows.length && rows.every((row) => row.classList.contains("starred")) ? "unstar" : "star";
}

/** Do `deed` with `value` to what is meant. `done` is what the toast says at once. */
export async function handle(deed, value, done, { threads, all, count } = target()) {
  const list = currentList();
  if (!list || !count) return;
  const meant = all ? list.pages.all.map((row) => row.dataset.thread) : threads;
  closeSheets();
  const takeBack = show(list, deed, value, meant);
  clearPicked();
  const told = tell(list, { deed, value, threads, all });
  const sentence = count === 1 ? done : say("done_to_many", { done, count: count.toLocaleString() });
  toast(sentence, { action: { label: say("undo"), run: () => undo(told, takeBack, meant) } });
  try {
    await told;
    refreshAll();
  } catch (error) {
    takeBack();
    complain(error);
  }
}

function tell(list, { deed, value, threads, all }) {
  const body = new FormData();
  body.set("do", deed);
  if (value !== undefined) body.set("value", value);
  if (all) {
    body.set("all", "1");
    if (list.dataset.query) body.set("q", list.dataset.query);
  } else body.set("thread", threads.join(" ")); // one field: a form has at most a thousand
  return post(document.getElementById("handle").dataset.url, body, { timeout: TIMEOUT_MS });
}

async function undo(told, takeBack, threads) {
  takeBack();
  try {
    const { undo_url: url } = await told;
    await post(url, new URLSearchParams());
    for (const thread of threads) currentList()?.await(thread);
    refreshAll();
  } catch (error) {
    complain(error);
  }
}

function complain(error) {
  const status = error instanceof Refused ? error.status : 0;
  toast(error.body?.detail && status ? error.body.detail : say(status ? "failed" : "unreachable"), { tone: "bad" });
}

/** Make the rows look as they will; the returned function makes them look as they did. */
function show(list, deed, value, threads) {
  const rows = threads.map((thread) => list.row(thread)).filter(Boolean);
  const folder = FOLDER_AFTER[deed];
  if (folder) {
    const isGone = list.dataset.query ? OUT_OF_SEARCHES.has(deed) : folder !== list.dataset.folder;
    return isGone ? hide(list, threads) : () => {};
  }
  if (deed === "read" || deed === "unread") return flag(rows, "unread", deed === "unread");
  if (deed === "star" || deed === "unstar") return star(rows, threads, deed === "star");
  if (deed === "label" || deed === "unlabel") return label(rows, value, deed === "label");
  return () => {};
}

function hide(list, threads) {
  const open = openConversation()?.dataset.thread;
  const back = threads.map((thread) => list.hideRow(thread));
  if (open && threads.includes(open)) showNext(list);
  return () => {
    for (const bring of back.reverse()) bring();
  };
}

function flag(rows, name, on) {
  const changed = rows.filter((row) => row.classList.contains(name) !== on);
  for (const row of changed) row.classList.toggle(name, on);
  return () => {
    for (const row of changed) row.classList.toggle(name, !on);
  };
}

function star(rows, threads, on) {
  const takeBack = flag(rows, "starred", on);
  if (!threads.includes(openConversation()?.dataset.thread)) return takeBack;
  const press = (now) => {
    // Asked for anew: the bar may have been drawn again meanwhile.
    const button = document.querySelector('#bar [data-command="star"]');
    if (!button) return;
    button.classList.toggle("on", now);
    button.setAttribute("aria-pressed", now);
    button.dataset.do = now ? "unstar" : "star";
    button.dataset.done = document.querySelector(`#list [data-do="${button.dataset.do}"]`).dataset.done;
  };
  press(on);
  return () => {
    takeBack();
    press(!on);
  };
}

function label(rows, id, on) {
  const changed = rows.filter((row) => row.dataset.labels.includes(id) !== on);
  const turn = (now) => {
    for (const row of changed) {
      row.dataset.labels = now ? `${row.dataset.labels}${id} ` : row.dataset.labels.replace(`${id} `, "");
      row.querySelector(`[data-label="${CSS.escape(id)}"]`)?.remove();
      if (now) row.querySelector(".snip").prepend(chip(id), " ");
    }
  };
  turn(on);
  return () => turn(!on);
}

function chip(id) {
  const made = document.querySelector(`#sheet-label input[value="${CSS.escape(id)}"] + .label`).cloneNode(true);
  made.dataset.label = id;
  return made;
}
