// Which conversations of the list are ticked. They are kept by their ids, so that rows that are out of the document
// count; Shift takes all between; and "all 1,234" means whatever the folder or the search holds when something is done.

import { currentList } from "./list.js";
import { say } from "./words.js";

const picked = new Set();
let isAll = false;
let anchor = null;

export function startPicking() {
  document.addEventListener("click", onClick);
  document.addEventListener("list:rows", show);
  document.addEventListener("keydown", (event) => {
    const isFree = !event.target.closest?.("dialog, details.menu[open], [popover], input:not([type=checkbox]), textarea");
    if (event.key === "Escape" && isFree && picked.size) clearPicked();
  });
}

/** What something is done to: {threads}, or {all: true} for the whole folder or search. */
export function pickedThreads() {
  return { threads: [...picked], all: isAll, count: isAll ? totalCount() : picked.size };
}

export function clearPicked() {
  picked.clear();
  isAll = false;
  anchor = null;
  show();
}

/** Tick or untick the row that keys act on. */
export function togglePicked(row = currentList()?.currentRow) {
  if (!row) return;
  isAll = false;
  set(row, !picked.has(row.dataset.thread));
  anchor = row.dataset.thread;
  show();
}

function onClick(event) {
  const { target } = event;
  const box = target.closest?.("[data-picks]");
  if (box) pickFrom(box.closest(".row"), box.checked, event.shiftKey);
  else if (target.id === "pick-all") pickShown(target.checked);
  else if (target.closest?.("[data-pick-rest]")) pickRest();
  else {
    // Shift and a click on a row takes all up to it, as in any list.
    const row = event.shiftKey && target.closest?.(".row");
    if (!row || !row.closest("conversation-list")) return;
    event.preventDefault();
    anchor ??= (currentList().openLink?.closest(".row") ?? row).dataset.thread;
    pickFrom(row, true, true);
  }
}

function pickFrom(row, on, isRange) {
  isAll = false;
  if (isRange && anchor) for (const one of between(anchor, row)) set(one, on);
  else set(row, on);
  anchor = row.dataset.thread;
  show();
}

function between(thread, to) {
  const rows = currentList().pages.all;
  const from = rows.findIndex((row) => row.dataset.thread === thread);
  const [start, end] = [from, rows.indexOf(to)].sort((a, b) => a - b);
  return start < 0 ? [to] : rows.slice(start, end + 1);
}

function set(row, on) {
  if (on) picked.add(row.dataset.thread);
  else picked.delete(row.dataset.thread);
}

async function pickShown(on) {
  clearPicked();
  if (!on) return;
  for (const row of currentList().pages.all) set(row, true);
  show();
  if (!currentList().pages.isWhole) await offerRest();
}

/** More than is shown: say how many there are, and offer them. */
async function offerRest() {
  const list = currentList();
  const url = new URL(bar().dataset.countUrl, location.href);
  if (list.dataset.query) url.searchParams.set("q", list.dataset.query);
  const answer = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok || !picked.size) return;
  const { count, more } = await answer.json();
  const button = document.querySelector("[data-pick-rest]");
  button.dataset.count = count;
  button.textContent = more ? say("pick_most", { count: count.toLocaleString() }) : say("pick_all", { count: count.toLocaleString() });
  button.closest(".pick-rest").hidden = count <= picked.size;
}

function pickRest() {
  isAll = true;
  show();
}

function totalCount() {
  return Number(document.querySelector("[data-pick-rest]")?.dataset.count ?? picked.size);
}

function bar() {
  return document.getElementById("handle");
}

function show() {
  const list = currentList();
  if (!list || !bar()) return;
  const rows = list.pages?.all ?? [];
  for (const box of list.querySelectorAll("[data-picks]")) {
    const row = box.closest(".row");
    box.checked = picked.has(row.dataset.thread);
    row.classList.toggle("picked", box.checked);
  }
  const any = picked.size > 0;
  list.classList.toggle("picking", any);
  bar().hidden = !any;
  list.querySelector(".heading .title").hidden = any;
  const all = document.getElementById("pick-all");
  all.checked = any && rows.every((row) => picked.has(row.dataset.thread));
  all.indeterminate = any && !all.checked;
  const count = isAll ? totalCount() : picked.size;
  bar().querySelector("[data-picked]").textContent = any ? say("picked", { count: count.toLocaleString() }) : "";
  const rest = document.querySelector(".pick-rest");
  if (!any || isAll) rest.hidden = true;
}
