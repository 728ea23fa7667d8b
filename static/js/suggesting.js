// Suggestions beneath the search, as a listbox that the keyboard walks while the focus stays in the field (WAI-ARIA's
// combobox). The operators are in the page and show at once; people, labels and values come from the server.

import { say } from "./words.js";

const PAUSE_MS = 110;

let timer = 0;
let asked = null;
let offered = "";

export function startSuggesting() {
  document.addEventListener("focusin", ({ target }) => {
    if (target.id === "search") offer(target);
  });
  document.addEventListener("focusout", ({ target }) => {
    if (target.id === "search") close(target);
  });
  document.addEventListener("input", ({ target }) => {
    if (target.id === "search") offer(target);
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.id === "search") onKey(event);
  });
  // Pressed and not clicked: the field must not lose the focus first.
  document.addEventListener("mousedown", (event) => {
    const option = event.target.closest?.("#suggestions [role=option]");
    if (!option) return;
    event.preventDefault();
    take(document.getElementById("search"), option);
  });
}

/** The piece of the search at the caret: up to the last blank that is not within quotes. */
function pieceOf(field) {
  const before = field.value.slice(0, field.selectionStart ?? field.value.length);
  return /(?:[^\s"]|"[^"]*"?)*$/.exec(before)[0];
}

function list() {
  return document.getElementById("suggestions");
}

function offer(field) {
  const piece = pieceOf(field);
  offered = piece;
  const bare = piece.replace(/^-/, "").toLowerCase();
  const template = document.getElementById("search-operators");
  const operators = [...template.content.children].filter((one) => one.dataset.insert.startsWith(bare) && one.dataset.insert !== bare);
  const own = operators.map((one) => {
    const option = one.cloneNode(true);
    if (piece.startsWith("-")) option.dataset.insert = `-${option.dataset.insert}`;
    return option;
  });
  show(field, own);
  clearTimeout(timer);
  asked?.abort();
  if (bare) timer = setTimeout(() => ask(field, piece, own), PAUSE_MS);
}

async function ask(field, piece, own) {
  asked = new AbortController();
  const url = new URL(field.form.dataset.suggestions, location.href);
  url.searchParams.set("piece", piece);
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, signal: asked.signal });
    if (!answer.ok || offered !== piece || document.activeElement !== field) return;
    const { options } = await answer.json();
    show(field, [...own, ...options.filter((one) => one.insert !== piece).map(optionOf)]);
  } catch (error) {
    if (error.name !== "AbortError") console.info("no suggestions:", error.message);
  }
}

function optionOf({ insert, label, detail, kind }) {
  const option = document.getElementById("suggestion").content.firstElementChild.cloneNode(true);
  const name = option.querySelector("b");
  option.dataset.insert = insert;
  name.textContent = label;
  if (kind.startsWith("label")) name.className = kind;
  option.querySelector("small").textContent = detail;
  return option;
}

function show(field, options) {
  const box = list();
  box.replaceChildren(...options);
  options.forEach((option, n) => {
    option.id = `suggestion-${n}`;
  });
  box.hidden = options.length === 0;
  field.ariaExpanded = String(options.length > 0);
  field.removeAttribute("aria-activedescendant");
  const region = document.getElementById("spoken");
  if (region && options.length) region.textContent = say("suggested", { count: options.length });
}

function close(field) {
  clearTimeout(timer);
  asked?.abort();
  offered = null;
  list().hidden = true;
  field.ariaExpanded = "false";
  field.removeAttribute("aria-activedescendant");
}

function onKey(event) {
  const field = event.target;
  const isOpen = !list().hidden;
  const active = isOpen ? list().querySelector("[aria-selected=true]") : null;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    if (isOpen) walk(field, active, step);
    else offer(field);
  } else if (event.key === "Enter" && active) {
    event.preventDefault();
    take(field, active);
  } else if (event.key === "Tab" && active) {
    event.preventDefault();
    take(field, active);
  } else if (event.key === "Escape" && isOpen) {
    event.preventDefault();
    close(field);
  }
}

function walk(field, active, step) {
  const options = [...list().children];
  const at = active ? options.indexOf(active) + step : step > 0 ? 0 : options.length - 1;
  active?.removeAttribute("aria-selected");
  const next = options[at];
  if (!next) {
    field.removeAttribute("aria-activedescendant");
    return;
  }
  next.ariaSelected = "true";
  next.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", next.id);
}

function take(field, option) {
  const { insert } = option.dataset;
  const end = field.selectionStart ?? field.value.length;
  const begin = end - pieceOf(field).length;
  const isWhole = !insert.endsWith(":");
  const after = field.value.slice(end);
  const blank = isWhole && !after.startsWith(" ") ? " " : "";
  field.value = field.value.slice(0, begin) + insert + blank + after;
  const caret = begin + insert.length + blank.length;
  field.setSelectionRange(caret, caret);
  offer(field);
}
