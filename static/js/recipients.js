// <recipient-field>: To, Cc and Bcc. People stand as chips; what is typed is completed from those the mailbox knows.
//
// The form's own field is hidden and always says everything, what is typed but not yet a chip too, so that a mail can be
// sent at any moment. The combobox follows the ARIA pattern: the focus stays in the input, arrows choose in the list.

import { say } from "./words.js";

const ASK_AFTER_MS = 90;
const ADDRESS = /^(?:[^\s@<>"(),:;\\[\]]+|"[^"]+")@[^\s@<>(),;:\\"]+$/;

class RecipientField extends HTMLElement {
  #people = [];
  #suggested = [];
  #chosen = -1;
  #asking = 0;
  #timer = 0;

  connectedCallback() {
    if (this.isReady) return;
    this.isReady = true;
    this.input = this.querySelector("input");
    this.chips = this.querySelector(".chips");
    this.list = this.querySelector(".suggested");
    this.field = Object.assign(document.createElement("input"), { type: "hidden", name: this.dataset.line });
    const written = this.input.value;
    this.input.removeAttribute("name");
    this.input.before(this.field);
    for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": this.list.id })) {
      this.input.setAttribute(name, value);
    }
    this.input.addEventListener("input", (event) => this.#onInput(event));
    this.input.addEventListener("keydown", (event) => this.#onKey(event));
    this.input.addEventListener("paste", (event) => this.#onPaste(event));
    this.input.addEventListener("blur", () => this.#commit());
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => this.#onChoose(event));
    this.chips.addEventListener("click", (event) => this.#onChip(event));
    this.chips.addEventListener("keydown", (event) => this.#onChipKey(event));
    this.querySelector(".people").addEventListener("click", (event) => {
      if (event.target.matches(".people, .chips")) this.input.focus();
    });
    this.value = written;
  }

  get value() {
    return this.field.value;
  }

  /** All of it, as it would be typed. Nobody is told: who sets it knows. */
  set value(written) {
    this.#people = split(written);
    this.input.value = "";
    this.#draw();
  }

  focus() {
    this.input.focus();
  }

  #told() {
    this.#draw();
    this.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #sum() {
    this.field.value = [...this.#people, this.input.value.trim()].filter(Boolean).join(", ");
  }

  #add(written) {
    for (const one of split(written)) {
      if (!this.#people.some((other) => addressOf(other).toLowerCase() === addressOf(one).toLowerCase())) this.#people.push(one);
    }
  }

  #commit() {
    this.#close();
    if (!this.input.value.trim()) return;
    this.#add(this.input.value);
    this.input.value = "";
    this.#told();
  }

  #onInput(event) {
    this.#sum();
    if (!event.isTrusted) return;
    const parts = split(this.input.value);
    // A comma ends a person; a paste or a dictation may bring several at once.
    if (/[,;\n]\s*$/.test(this.input.value) || (parts.length > 1 && parts.slice(0, -1).every(isAddress))) {
      const last = /[,;\n]\s*$/.test(this.input.value) ? "" : parts.pop();
      this.#add(parts.join(", "));
      this.input.value = last;
      this.#draw();
    }
    this.#askSoon();
  }

  #onPaste(event) {
    const text = event.clipboardData.getData("text/plain");
    const people = split(text);
    if (people.length < 2 && !isAddress(people[0] ?? "")) return;
    event.preventDefault();
    this.#add([this.input.value, text].filter(Boolean).join(", "));
    this.input.value = "";
    this.#told();
  }

  #onKey(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const isOpen = !this.list.hidden;
    if (isOpen && (key === "ArrowDown" || key === "ArrowUp")) {
      event.preventDefault();
      this.#choose((this.#chosen + (key === "ArrowDown" ? 1 : -1) + this.#suggested.length) % this.#suggested.length);
    } else if (isOpen && (key === "Enter" || key === "Tab") && this.#chosen >= 0) {
      event.preventDefault();
      this.#take(this.#chosen);
    } else if (isOpen && key === "Escape") {
      event.stopPropagation();
      this.#close();
    } else if (key === "Enter") {
      event.preventDefault();
      this.#commit();
    } else if (key === "Backspace" || key === "ArrowLeft") {
      if (this.input.selectionStart || this.input.selectionEnd || !this.#people.length) return;
      event.preventDefault();
      this.chips.lastElementChild.querySelector(".who").focus();
    }
  }

  #onChipKey(event) {
    const chips = [...this.chips.children];
    const at = chips.indexOf(event.target.closest(".person"));
    const to = (n) => (n >= chips.length ? this.input : chips[Math.max(0, n)].querySelector(".who")).focus();
    if (event.key === "ArrowLeft") to(at - 1);
    else if (event.key === "ArrowRight") to(at + 1);
    else if (event.key === "Backspace" || event.key === "Delete") this.#drop(at);
    else if (event.key === "Enter" || event.key === "F2") this.#edit(at);
    else return;
    event.preventDefault();
  }

  #onChip(event) {
    const chip = event.target.closest(".person");
    if (!chip) return;
    const at = [...this.chips.children].indexOf(chip);
    if (event.target.closest(".drop")) this.#drop(at);
    else if (event.detail === 2) this.#edit(at);
  }

  #drop(at) {
    this.#people.splice(at, 1);
    this.#told();
    (this.chips.children[at]?.querySelector(".who") ?? this.input).focus();
  }

  #edit(at) {
    this.#commit();
    const [written] = this.#people.splice(at, 1);
    this.input.value = written;
    this.#told();
    this.input.focus();
  }

  #draw() {
    this.#sum();
    const template = document.getElementById("person-chip");
    this.chips.replaceChildren(...this.#people.map((written) => {
      const chip = template.content.cloneNode(true).firstElementChild;
      const who = chip.querySelector(".who");
      who.textContent = nameOf(written);
      who.title = written;
      chip.classList.toggle("wrong", !isAddress(written));
      chip.querySelector(".drop").setAttribute("aria-label", say("remove_file", { name: nameOf(written) }));
      if (!isAddress(written)) who.setAttribute("aria-invalid", "true");
      return chip;
    }));
  }

  // --- completion

  #askSoon() {
    clearTimeout(this.#timer);
    const typed = this.input.value.trim();
    if (!typed) {
      this.#close();
      return;
    }
    this.#timer = setTimeout(() => this.#ask(typed), ASK_AFTER_MS);
  }

  async #ask(typed) {
    const base = this.closest("mail-composer")?.recipientsUrl;
    if (!base) return;
    this.#asking += 1;
    const turn = this.#asking;
    try {
      const response = await fetch(`${base}?${new URLSearchParams({ q: typed })}`, { headers: { Accept: "application/json" } });
      if (!response.ok || turn !== this.#asking || document.activeElement !== this.input) return;
      const { people } = await response.json();
      const chosen = new Set(this.#people.map((one) => addressOf(one).toLowerCase()));
      this.#offer(people.filter((one) => !chosen.has(one.address.toLowerCase())));
    } catch (error) {
      console.info("nobody was found:", error.message); // completing is a help, and never in the way
    }
  }

  #offer(people) {
    this.#suggested = people;
    this.list.replaceChildren(...people.map((one, n) => option(one, `${this.list.id}-${n}`)));
    this.list.hidden = !people.length;
    this.input.setAttribute("aria-expanded", String(people.length > 0));
    this.#choose(people.length ? 0 : -1);
  }

  #choose(n) {
    this.#chosen = n;
    [...this.list.children].forEach((element, at) => element.setAttribute("aria-selected", String(at === n)));
    if (n >= 0) this.input.setAttribute("aria-activedescendant", `${this.list.id}-${n}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  #onChoose(event) {
    const at = [...this.list.children].indexOf(event.target.closest("[role=option]"));
    if (at >= 0) this.#take(at);
  }

  #take(n) {
    const { name, address } = this.#suggested[n];
    this.input.value = "";
    this.#close();
    this.#add(written(name, address));
    this.#told();
    this.input.focus();
  }

  #close() {
    clearTimeout(this.#timer);
    this.#asking += 1;
    this.#suggested = [];
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.#choose(-1);
  }
}

function option({ name, address }, id) {
  const element = Object.assign(document.createElement("li"), { id });
  element.setAttribute("role", "option");
  if (name) element.append(Object.assign(document.createElement("b"), { textContent: name }), " ");
  element.append(Object.assign(document.createElement("small"), { textContent: address }));
  return element;
}

/** As a person types it: RFC 5322 §3.2.4 wants quotes around what is more than words. */
function written(name, address) {
  if (!name) return address;
  return /[()<>[\]:;@\\,."]/.test(name) ? `"${name.replace(/[\\"]/g, "\\$&")}" <${address}>` : `${name} <${address}>`;
}

function addressOf(text) {
  return text.match(/<([^<>]*)>\s*$/)?.[1].trim() ?? text.trim();
}

function nameOf(text) {
  return text.replace(/<[^<>]*>\s*$/, "").trim().replace(/^"(.*)"$/, "$1").replace(/\\(.)/g, "$1") || addressOf(text);
}

function isAddress(text) {
  return ADDRESS.test(addressOf(text));
}

/** At commas, semicolons and line ends, but not within quotes or brackets: as the server splits. */
function split(text) {
  const parts = [];
  let part = "";
  let quoted = false;
  let angled = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '"' && text[at - 1] !== "\\") quoted = !quoted;
    else if (!quoted && "<>".includes(character)) angled = character === "<";
    if (!quoted && !angled && ",;\n".includes(character)) {
      parts.push(part);
      part = "";
    } else part += character;
  }
  return [...parts, part].map((one) => one.trim()).filter(Boolean);
}

export function defineRecipients() {
  customElements.define("recipient-field", RecipientField);
}
