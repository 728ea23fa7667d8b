// <note-text>: a note's textarea. "@" calls a colleague, completed from those who see the mailbox, who are in the page.
//
// The focus stays in the text and arrows choose in the list, as in To (recipients.js).

import { say } from "./words.js";

const SHOWN = 8;
const CALL = /(?:^|[^\p{L}\p{N}_.])@([\p{L}\p{M}\p{N}_.' -]{0,60})$/u;

class NoteText extends HTMLElement {
  #chosen = -1;

  connectedCallback() {
    if (this.isReady) return;
    this.isReady = true;
    this.field = this.querySelector("textarea");
    this.list = this.querySelector("[role=listbox]");
    this.people = [...this.querySelector("template").content.children].filter((one) => one.dataset.person !== document.body.dataset.person);
    this.field.addEventListener("input", (event) => { if (event.isTrusted) this.#offer(); });
    this.field.addEventListener("keydown", (event) => this.#onKey(event));
    this.field.addEventListener("blur", () => this.#show([]));
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => this.#take([...this.list.children].indexOf(event.target.closest("[role=option]"))));
  }

  /** What stands between the "@" and the caret; null where nobody is being called. */
  get #call() {
    const { selectionStart: at, selectionEnd: end, value } = this.field;
    return at === end ? CALL.exec(value.slice(0, at))?.[1] ?? null : null;
  }

  #offer() {
    const call = this.#call;
    this.#show(call === null ? [] : this.people.filter((one) => answersTo(one, folded(call))).slice(0, SHOWN));
  }

  #show(people) {
    this.list.replaceChildren(...people.map((one, n) => Object.assign(one.cloneNode(true), { id: `${this.list.id}-${n}` })));
    this.list.hidden = !people.length;
    this.#choose(people.length ? 0 : -1);
    const region = document.getElementById("spoken");
    if (region && people.length) region.textContent = say("suggested", { count: people.length });
  }

  #choose(n) {
    this.#chosen = n;
    [...this.list.children].forEach((element, at) => element.setAttribute("aria-selected", String(at === n)));
    if (n < 0) this.field.removeAttribute("aria-activedescendant");
    else this.field.setAttribute("aria-activedescendant", this.list.children[n].id);
    this.list.children[n]?.scrollIntoView({ block: "nearest" });
  }

  #onKey(event) {
    if (this.list.hidden || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const count = this.list.children.length;
    if (step) this.#choose((this.#chosen + step + count) % count);
    else if (event.key === "Enter" || event.key === "Tab") this.#take(this.#chosen);
    else if (event.key === "Escape") this.#show([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #take(n) {
    const name = this.list.children[n]?.querySelector("b").textContent;
    if (!name) return;
    const at = this.field.selectionStart;
    this.field.setRangeText(`${name} `, at - this.#call.length, at, "end");
    this.#show([]);
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function answersTo(option, call) {
  const [name, address] = [...option.children].map((one) => folded(one.textContent));
  return [name, address, ...name.split(/\s+/)].some((word) => word.startsWith(call));
}

function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

export function defineNoteText() {
  customElements.define("note-text", NoteText);
}
