// Cmd-K: type a few letters of what you want to do or where you want to go. What was chosen lately stands first.
//
// A combobox with a list (ARIA APG): the focus stays in the field, the arrows move aria-activedescendant.

import { allCommands, isAvailable, run } from "./commands.js";
import { say } from "./words.js";

const RECENT = 6;
const SHOWN = 60;

let shown = [];
let at = 0;
let places = null;

export function openPalette() {
  const dialog = document.getElementById("palette");
  if (!dialog || dialog.open) return;
  if (!dialog.dataset.ready) listen(dialog);
  field().value = "";
  dialog.showModal();
  draw();
  loadPlaces(dialog.dataset.places);
}

function listen(dialog) {
  dialog.dataset.ready = "1";
  field().addEventListener("input", () => { at = 0; draw(); });
  field().addEventListener("keydown", onKey);
  list().addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(Number(option.dataset.index));
  });
}

function field() {
  return document.querySelector("#palette input");
}

function list() {
  return document.querySelector("#palette [role=listbox]");
}

function onKey(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && shown.length) {
    at = (at + step + shown.length) % shown.length;
    point();
  } else if (event.key === "Enter") choose(at);
  else return;
  event.preventDefault();
}

/** Everything that can be done or gone to now: {id, words, about, run, command}. */
function entries() {
  const doing = allCommands().filter(({ name }) => name !== "palette" && isAvailable(name)).map(({ name, words }) => ({
    id: `command:${name}`, words, about: "", command: name, run: () => run(name),
  }));
  const going = new Map();
  for (const { words, about, url } of [...(places ?? []), ...railPlaces()]) {
    if (!going.has(url)) going.set(url, { id: `place:${url}`, words, about, run: () => { location.href = url; } });
  }
  return [...doing, ...going.values()];
}

/** Pages, views and whatever else stands in the rail. */
function railPlaces() {
  return [...document.querySelectorAll("#rail a.nav")].map((link) => ({
    url: link.getAttribute("href"), words: link.querySelector("span")?.textContent.trim() ?? "", about: link.title,
  }));
}

/** The folders of all mailboxes, of which the rail shows one's; fetched once, and what is there already is shown. */
async function loadPlaces(url) {
  if (places) return;
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    places = (await answer.json()).places;
    if (document.getElementById("palette").open) draw();
  } catch (error) {
    console.warn("the palette knows only this page's places:", error.message);
  }
}

function draw() {
  const typed = field().value.trim();
  const recent = remembered();
  const scored = entries().map((entry) => {
    const fits = score(typed, `${entry.words} ${entry.about}`);
    const lately = recent.indexOf(entry.id);
    return { entry, score: fits && lately >= 0 ? fits + 3 - lately / RECENT : fits };
  });
  const found = scored.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score).map(({ entry }) => entry);
  shown = found.slice(0, SHOWN);
  if (typed && document.getElementById("search")) shown.push(searching(typed));
  at = Math.min(at, Math.max(0, shown.length - 1));
  list().replaceChildren(...shown.map(optionOf));
  document.querySelector("#palette .none").hidden = shown.length > 0;
  point();
}

function searching(typed) {
  return {
    id: "search", words: say("search_for", { words: typed }), about: "",
    run: () => {
      const box = document.getElementById("search");
      box.value = typed;
      box.form.requestSubmit();
    },
  };
}

/** 0 for no match. Letters in their order; better at the beginning of words and side by side. */
export function score(typed, words) {
  if (!typed) return 1;
  const text = words.toLocaleLowerCase();
  let from = 0;
  let last = -2;
  let sum = 1;
  for (const letter of typed.toLocaleLowerCase().replace(/\s+/g, "")) {
    const found = nextOf(text, letter, from, last);
    if (found < 0) return 0;
    if (found === last + 1) sum += 2;
    if (found === 0 || text[found - 1] === " ") sum += 3;
    last = found;
    from = found + 1;
  }
  return sum + (text.startsWith(typed.toLocaleLowerCase()) ? 10 : 0) - text.length / 1000;
}

/** The letter right after the last one, else the first letter of a later word, else the next there is. */
function nextOf(text, letter, from, last) {
  if (text[from] === letter && from === last + 1) return from;
  const ofWord = text.indexOf(` ${letter}`, Math.max(0, from - 1));
  const any = text.indexOf(letter, from);
  return ofWord >= 0 && any >= 0 ? ofWord + 1 : any;
}

function optionOf(entry, index) {
  const option = document.createElement("li");
  option.id = `palette-${index}`;
  option.setAttribute("role", "option");
  option.dataset.index = String(index);
  option.append(Object.assign(document.createElement("span"), { textContent: entry.words }));
  if (entry.about) option.append(Object.assign(document.createElement("small"), { textContent: entry.about }));
  if (entry.command) {
    const hint = document.createElement("key-hint");
    hint.setAttribute("command", entry.command);
    hint.ariaHidden = "true";
    option.append(hint);
  }
  return option;
}

function point() {
  for (const [index, option] of [...list().children].entries()) {
    option.setAttribute("aria-selected", String(index === at));
    if (index === at) option.scrollIntoView({ block: "nearest" });
  }
  if (shown.length) field().setAttribute("aria-activedescendant", `palette-${at}`);
  else field().removeAttribute("aria-activedescendant");
}

function choose(index) {
  const entry = shown[index];
  if (!entry) return;
  document.getElementById("palette").close();
  if (entry.id !== "search") remember(entry.id);
  entry.run();
}

function memory() {
  return `palette:${document.body.dataset.person}`;
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(memory())) ?? [];
  } catch {
    return []; // no storage in this browser: nothing is remembered
  }
}

function remember(id) {
  try {
    localStorage.setItem(memory(), JSON.stringify([id, ...remembered().filter((one) => one !== id)].slice(0, RECENT)));
  } catch (error) {
    console.warn("what was chosen is not remembered:", error.message);
  }
}
