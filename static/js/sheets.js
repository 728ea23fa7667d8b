// Small sheets beside what they are about: when to snooze until, which labels, whom to assign, what else; and keeping a
// search as a view. The browser closes them on Escape and on a press elsewhere.

import { currentList } from "./list.js";
import { post } from "./request.js";
import { toast } from "./toasts.js";
import { say } from "./words.js";

const MARGIN = 8;

let chosen = null;
let target = null;
let held = null;
let beside = null;

export function startSheets(given) {
  ({ chosen, target } = given);
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-sheet]");
    if (opener) openSheet(opener.dataset.sheet, opener);
    if (event.target.closest?.("[data-make-label]")) makeLabel();
  });
  document.addEventListener("input", ({ target: field }) => {
    if (field.id === "label-name") narrow(field.value);
  });
  document.addEventListener("change", ({ target: box }) => {
    if (box.matches?.("#sheet-label .label-choices input")) putLabel(box);
  });
  document.addEventListener("keydown", onKey);
  document.addEventListener("submit", keepView);
  addEventListener("resize", () => {
    const open = document.querySelector(".sheet[popover]:popover-open");
    if (open) place(open, beside);
  });
}

/** What an open sheet is about: what was meant when it was opened, because it has the focus now. Null when none is. */
export function meantBySheet() {
  return document.querySelector(".sheet[popover]:popover-open") ? held : null;
}

export function closeSheets() {
  for (const sheet of document.querySelectorAll(".sheet[popover]:popover-open")) sheet.hidePopover();
}

/** Open a sheet beside `opener`: a button, a row, or anything else that says where one looks. */
export function openSheet(name, opener) {
  const sheet = document.getElementById(`sheet-${name}`);
  if (!sheet) return;
  held = target();
  closeSheets();
  if (name === "label") prepareLabels(sheet);
  sheet.showPopover();
  beside = opener;
  place(sheet, opener);
  sheet.querySelector("input:not([type=hidden], [type=radio], [type=datetime-local]), button")?.focus();
}

function place(sheet, opener) {
  const at = opener?.getBoundingClientRect() ?? new DOMRect(MARGIN, MARGIN, 0, 0);
  const { width, height } = sheet.getBoundingClientRect();
  const isRtl = document.dir === "rtl";
  const wanted = isRtl ? at.right - width : at.left;
  const left = Math.max(MARGIN, Math.min(wanted, innerWidth - width - MARGIN));
  const isWithin = at.height > innerHeight / 2;
  const below = isWithin ? at.top + MARGIN : at.bottom + 4;
  const top = below + height > innerHeight - MARGIN ? Math.max(MARGIN, at.top - height - 4) : below;
  Object.assign(sheet.style, { left: `${left}px`, top: `${top}px` });
}

/** Arrow keys walk through a sheet as through any menu. */
function onKey(event) {
  const sheet = event.target.closest?.(".sheet[popover]");
  if (!sheet) return;
  if (event.key === "Enter" && event.target.id === "label-name") {
    event.preventDefault();
    takeFirstLabel(sheet);
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.target.matches("[type=radio], [type=datetime-local]")) return;
  event.preventDefault();
  const stops = [...sheet.querySelectorAll("button, input:not([type=hidden], [type=radio])")].filter((one) => one.checkVisibility());
  const at = stops.indexOf(event.target);
  stops[(at + step + stops.length) % stops.length]?.focus();
}

// labels

function prepareLabels(sheet) {
  const rows = held.threads.map((thread) => currentList()?.row(thread)).filter(Boolean);
  const isOpen = held.threads[0] === document.getElementById("conversation")?.dataset.thread;
  for (const box of sheet.querySelectorAll(".label-choices input")) {
    const on = rows.filter((row) => row.dataset.labels.includes(box.value)).length;
    box.checked = rows.length ? on === rows.length : Boolean(isOpen && document.querySelector(`#about [data-label="${CSS.escape(box.value)}"]`));
    box.indeterminate = on > 0 && on < rows.length;
  }
  sheet.querySelector("#label-name").value = "";
  narrow("");
}

function narrow(typed) {
  const sheet = document.getElementById("sheet-label");
  const wanted = typed.trim().toLocaleLowerCase();
  let isKnown = false;
  for (const choice of sheet.querySelectorAll(".label-choices .check")) {
    const name = choice.textContent.trim().toLocaleLowerCase();
    choice.hidden = !name.includes(wanted);
    isKnown ||= name === wanted;
  }
  const make = sheet.querySelector(".make");
  make.hidden = !wanted || isKnown;
  make.querySelector("[data-make-label] span").textContent = say("make_label", { name: typed.trim() });
}

function takeFirstLabel(sheet) {
  const first = sheet.querySelector(".label-choices .check:not([hidden]) input");
  if (first) {
    first.checked = !first.checked;
    putLabel(first);
  } else if (!sheet.querySelector(".make").hidden) makeLabel();
}

function putLabel(box) {
  const done = document.getElementById(box.checked ? "label-done" : "unlabel-done").textContent;
  chosen(box.checked ? "label" : "unlabel", box.value, done);
}

async function makeLabel() {
  const sheet = document.getElementById("sheet-label");
  const name = sheet.querySelector("#label-name").value.trim();
  const colour = sheet.querySelector("[name=label-colour]:checked")?.value ?? "";
  try {
    const made = await post(sheet.dataset.makeUrl, new URLSearchParams({ name, colour }));
    const choice = document.getElementById("label-choice").content.cloneNode(true);
    const box = choice.querySelector("input");
    Object.assign(box, { value: made.id, checked: true });
    choice.querySelector(".label").classList.add(made.colour);
    choice.querySelector(".label").textContent = made.name;
    sheet.querySelector(".label-choices").append(choice);
    putLabel(box);
  } catch (error) {
    toast(error.body?.detail ?? say("failed"), { tone: "bad" });
  }
}

// views

async function keepView(event) {
  const form = event.target;
  if (form.dataset?.view === undefined) return;
  event.preventDefault();
  const wrong = form.querySelector(".wrong");
  try {
    const answer = await post(form.action, new FormData(form));
    location.assign(answer.go_to ?? form.dataset.then);
  } catch (error) {
    const told = error.body?.detail ?? say("failed");
    if (!wrong) toast(told, { tone: "bad" });
    else Object.assign(wrong, { textContent: told, hidden: false });
  }
}
