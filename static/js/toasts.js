// One short sentence at the foot of the page, with at most one thing to do about it.

import { say } from "./words.js";

const STAYS_MS = 6_000;

let current = null;

/**
 * Show a toast and return a function that takes it away. `action` is {label, run}; `seconds` draws a ring that runs
 * out with them. A new toast replaces the one before it: two at once would make "Undo" ambiguous.
 */
export function toast(sentence, { tone = "", action = null, seconds = 0, onGone = null } = {}) {
  current?.();
  const region = document.getElementById("toasts");
  const element = document.createElement("div");
  element.className = `toast ${tone}`.trim();
  if (seconds) element.append(ring());
  element.append(Object.assign(document.createElement("span"), { textContent: sentence }));
  let timer = 0;
  const remove = () => {
    clearTimeout(timer);
    if (!element.isConnected) return;
    element.remove();
    current = null;
    onGone?.();
  };
  if (action) element.append(button(action, remove));
  timer = setTimeout(remove, seconds ? seconds * 1000 : STAYS_MS);
  region.append(element);
  current = remove;
  return remove;
}

function button({ label, run }, remove) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "btn";
  element.textContent = label;
  if (label === say("undo")) element.dataset.command = "undo";
  element.addEventListener("click", () => {
    remove();
    run();
  });
  return element;
}

function ring() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "ring");
  svg.setAttribute("aria-hidden", "true");
  for (let n = 0; n < 2; n += 1) {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, value] of [["cx", 8], ["cy", 8], ["r", 6]]) circle.setAttribute(name, value);
    svg.append(circle);
  }
  return svg;
}
