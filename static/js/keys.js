// The keyboard's side of the commands: which strokes run one, the help, and what is written about keys on the page.
//
// Keys without Ctrl can be switched off (WCAG 2.1.4), and they sleep while one types and in dialogs.

import { allCommands, areSingleKeysOn, capsOf, commandOf, define, run, switchSingleKeys } from "./commands.js";
import { openPalette } from "./palette.js";
import { post } from "./request.js";

const SEQUENCE_MS = 1_200;

let strokes = [];
let timer = 0;

export function startKeys() {
  customElements.define("key-hint", KeyHint);
  define("help", openHelp);
  define("palette", openPalette);
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onClick);
  document.addEventListener("change", (event) => {
    if (event.target.id === "shortcuts") keepSwitch(event.target);
  });
  document.addEventListener("htmx:after:swap", nameButtons);
  document.addEventListener("keys:changed", nameButtons);
  nameButtons();
}

function onKey(event) {
  if (event.isComposing || event.altKey) return;
  const stroke = strokeOf(event);
  if (!stroke) return;
  const isChord = stroke.startsWith("Ctrl+");
  // The text editor keeps Ctrl+Enter from breaking the line, and leaves the sending to us.
  if (event.defaultPrevented && !isChord) return;
  if (!isChord && isTyping(event.target)) return;
  if (document.querySelector("dialog[open]") && !(isChord && isTyping(event.target))) return;
  clearTimeout(timer);
  let found = commandOf([...strokes, stroke]);
  // A sequence that leads nowhere is forgotten, and its last stroke stands for itself.
  if (!found.name && !found.isBeginning && strokes.length) found = commandOf([stroke]);
  strokes = found.isBeginning ? [...strokes, stroke] : [];
  if (found.isBeginning) timer = setTimeout(() => { strokes = []; }, SEQUENCE_MS);
  if (!found.name && !found.isBeginning) return;
  event.preventDefault();
  if (found.name) run(found.name);
}

/** How the registry writes this stroke; "" for Shift and its like alone. */
function strokeOf(event) {
  const isCtrl = event.ctrlKey || event.metaKey;
  let { key } = event;
  if (key.length > 1) return ["Control", "Meta", "Shift", "Alt"].includes(key) ? "" : (isCtrl ? "Ctrl+" : "") + key;
  // A keyboard in Cyrillic or Greek still has a key where Latin keyboards have their j.
  if (key.charCodeAt(0) > 127 && /^Key[A-Z]$/.test(event.code)) key = event.code.slice(3);
  const isLetter = key.toLowerCase() !== key.toUpperCase();
  const shift = isLetter && event.shiftKey ? "Shift+" : "";
  if (isCtrl) return `Ctrl+${shift}${key.toUpperCase()}`;
  return isLetter ? shift + (shift ? key.toUpperCase() : key.toLowerCase()) : key;
}

/** A box to tick takes no letters; and one in a dialog that has just closed keeps the focus for a frame. */
function isTyping(element) {
  return element.closest?.('input:not([type="checkbox"], [type="radio"]), textarea, select, [contenteditable]') !== null;
}

function onClick(event) {
  if (event.target.closest("[data-opens-help]")) openHelp();
  if (event.target.closest("[data-opens-palette]")) openPalette();
  const closer = event.target.closest("[data-closes]");
  if (closer || event.target.matches("dialog")) event.target.closest("dialog").close();
}

function openHelp() {
  const dialog = document.getElementById("help");
  if (!dialog || dialog.open) return;
  document.getElementById("shortcuts").checked = areSingleKeysOn();
  dialog.showModal();
}

async function keepSwitch(box) {
  const on = box.checked;
  switchSingleKeys(on);
  try {
    await post(box.dataset.url, new URLSearchParams({ on: on ? "1" : "0" }));
  } catch (error) {
    switchSingleKeys(!on);
    box.checked = !on;
    console.warn("the choice was not kept:", error.message);
  }
}

/** Buttons of commands say their key: to the pointer in their title, to a screen reader by its own attribute. */
function nameButtons() {
  for (const { name, key } of allCommands()) {
    const caps = capsOf(name).map((stroke) => stroke.join("+")).join(" ");
    for (const button of document.querySelectorAll(`[data-command="${name}"]`)) {
      const label = button.querySelector(":scope > :is(.label, .sr, span)") ?? button;
      const words = (button.getAttribute("aria-label") ?? label.textContent).replace(/\s+/g, " ").trim();
      button.title = caps ? `${words} (${caps})` : words;
      // A sequence has no way to be told there.
      if (caps && !key.includes(" ")) button.setAttribute("aria-keyshortcuts", key.replace("Ctrl", "Control"));
      else button.removeAttribute("aria-keyshortcuts");
    }
  }
}

/** <key-hint command="star">: the caps of a command's key as this person has it; nothing where it has none. */
class KeyHint extends HTMLElement {
  connectedCallback() {
    // In a shadow, because what is morphed into the page knows nothing of keys.
    if (!this.shadowRoot) this.attachShadow({ mode: "open" });
    this.draw = () => this.#draw();
    document.addEventListener("keys:changed", this.draw);
    this.#draw();
  }

  disconnectedCallback() {
    document.removeEventListener("keys:changed", this.draw);
  }

  #draw() {
    const caps = capsOf(this.getAttribute("command")).flat();
    this.shadowRoot.replaceChildren(...caps.map((cap) => {
      const key = Object.assign(document.createElement("kbd"), { textContent: cap });
      key.part.add("cap");
      return key;
    }));
  }
}
