// <mail-composer>: an answer, a note or a new mail. Keeps a draft, shows errors at their fields, and offers Undo.
//
// Sending twice by accident is prevented by an idempotency key that is made with the draft and changed only after the
// server has taken the mail: a repeated click, or a repeat after a lost answer, is the same submission.

import { complain } from "./actions.js";
import { forget, keep, keepFiles, recall, takeFiles } from "./drafts.js";
import { refreshAll } from "./live.js";
import { post, Refused } from "./request.js";
import { toast } from "./toasts.js";
import { say } from "./words.js";

const KEEP_AFTER_MS = 400;
const NOT_TYPED = new Set(["csrfmiddlewaretoken", "mends", "kept_file"]);
const UPLOAD_TIMEOUT_MS = 300_000;

class MailComposer extends HTMLElement {
  #timer = 0;
  #files = [];

  connectedCallback() {
    if (this.isReady) return;
    this.isReady = true;
    this.forms = [...this.querySelectorAll("form")];
    this.place = this.dataset.place;
    this.addEventListener("input", () => this.#keepSoon());
    this.addEventListener("submit", (event) => this.#submit(event));
    this.addEventListener("click", (event) => this.#onClick(event));
    this.addEventListener("keydown", (event) => this.#onKey(event));
    this.#acceptFiles();
    this.#restore();
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
    if (this.isReady) this.#keepNow();
  }

  /** Show the answer's or the note's form and put the cursor into it. `replyAll` adds everybody else to Cc. */
  begin(kind, { replyAll = false } = {}) {
    const form = this.#show(kind);
    if (replyAll && form?.elements.cc && this.dataset.everybody && !form.elements.cc.value) {
      form.elements.cc.value = this.dataset.everybody;
      this.#reveal("cc");
    }
    form?.elements.text.focus();
    this.scrollIntoView({ block: "nearest" });
  }

  // --- drafts

  #fieldsOf(form) {
    const fields = {};
    for (const [name, value] of new FormData(form)) {
      if (typeof value === "string" && !NOT_TYPED.has(name)) fields[name] = value;
    }
    return fields;
  }

  #placeOf(form) {
    return `${this.place}/${form.dataset.kind}`;
  }

  #keepSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#keepNow(), KEEP_AFTER_MS);
  }

  #keepNow() {
    for (const form of this.forms) {
      if (!form.dataset.touched && form.elements.text.value.trim() === "") continue;
      const hasText = ["text", "subject"].some((name) => form.elements[name]?.value.trim());
      const place = this.#placeOf(form);
      const status = form.querySelector("[data-kept]");
      if (hasText) {
        form.dataset.touched = "1";
        const ok = keep(place, this.#fieldsOf(form));
        if (status) status.textContent = ok ? say("kept", { time: clock(Date.now()) }) : say("not_kept");
      } else {
        forget(place);
        if (status) status.textContent = "";
      }
    }
  }

  #restore() {
    for (const form of this.forms) {
      const draft = recall(this.#placeOf(form));
      if (draft) this.#fill(form, draft);
      else this.#renewKey(form);
    }
    this.#files = takeFiles(this.place);
    this.#drawFiles();
  }

  #fill(form, draft) {
    for (const [name, value] of Object.entries(draft.fields)) {
      const field = form.elements[name];
      if (!field || field.type === "submit") continue;
      if (field.tagName === "SELECT" && ![...field.options].some((option) => option.value === value)) continue;
      if (field.type === "checkbox") field.checked = true;
      else field.value = value;
      if ((name === "cc" || name === "bcc") && value) this.#reveal(name);
    }
    form.dataset.touched = "1";
    const status = form.querySelector("[data-kept]");
    if (status) status.textContent = say("kept", { time: clock(draft.keptAt) });
    if (form.hidden && form.dataset.kind === "note") this.#show("note");
  }

  #renewKey(form) {
    if (!form.elements.idempotency_key) return;
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    form.elements.idempotency_key.value = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // --- what one can press

  #onClick(event) {
    const revealer = event.target.closest("[data-reveals]");
    if (revealer) {
      this.#reveal(revealer.dataset.reveals);
      this.querySelector(`[name="${revealer.dataset.reveals}"]`).focus();
    }
    if (event.target.closest("[data-answers-everybody]")) this.begin("reply", { replyAll: true });
    const tab = event.target.closest("[role=tab]");
    if (tab) this.begin(tab.dataset.kind);
    const dropped = event.target.closest("[data-drops-file]");
    if (dropped) {
      this.#files.splice(Number(dropped.dataset.dropsFile), 1);
      this.#drawFiles();
      this.querySelector("[data-picks]")?.focus();
    }
    const left = event.target.closest("[data-drops-kept]");
    if (left) {
      left.closest("[data-kept-file]").remove();
      this.querySelector("[data-picks]")?.focus();
    }
    if (event.target.closest("[data-picks]")) this.querySelector("input[type=file]").click();
  }

  #onKey(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      const form = event.target.closest("form");
      form.requestSubmit(form.querySelector("[data-main]"));
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const tab = event.target.closest("[role=tab]");
      if (!tab) return;
      const other = this.querySelector(`[role=tab]:not([data-kind="${tab.dataset.kind}"])`);
      this.#show(other.dataset.kind);
      other.focus();
    }
  }

  #reveal(name) {
    this.querySelector(`[data-line="${name}"]`).hidden = false;
    const revealer = this.querySelector(`[data-reveals="${name}"]`);
    if (revealer) revealer.hidden = true;
  }

  #show(kind) {
    for (const form of this.forms) form.hidden = form.dataset.kind !== kind;
    for (const tab of this.querySelectorAll("[role=tab]")) {
      tab.setAttribute("aria-selected", String(tab.dataset.kind === kind));
      tab.tabIndex = tab.dataset.kind === kind ? 0 : -1;
    }
    this.querySelector(".reply")?.classList.toggle("for-note", kind === "note");
    return this.forms.find((form) => form.dataset.kind === kind);
  }

  // --- files

  #acceptFiles() {
    const input = this.querySelector("input[type=file]");
    if (!input) return;
    input.addEventListener("change", () => {
      this.#addFiles(input.files);
      input.value = "";
    });
    this.addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.#addFiles(event.clipboardData.files);
    });
    const box = this.querySelector(".reply");
    this.addEventListener("dragover", (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      box.dataset.dragging = "";
    });
    this.addEventListener("dragleave", (event) => {
      if (!this.contains(event.relatedTarget)) delete box.dataset.dragging;
    });
    this.addEventListener("drop", (event) => {
      delete box.dataset.dragging;
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      this.#addFiles(event.dataTransfer.files);
    });
  }

  #addFiles(list) {
    this.#files.push(...list);
    this.#drawFiles();
  }

  #drawFiles() {
    const holder = this.querySelector("[data-files]");
    if (!holder) return;
    const template = document.getElementById("file-chip");
    holder.replaceChildren(...this.#files.map((file, index) => {
      const chip = template.content.cloneNode(true).firstElementChild;
      chip.querySelector("[data-name]").textContent = file.name;
      chip.querySelector("small").textContent = fileSize(file.size);
      const button = chip.querySelector("button");
      button.dataset.dropsFile = String(index);
      button.setAttribute("aria-label", say("remove_file", { name: file.name }));
      return chip;
    }));
  }

  // --- sending

  async #submit(event) {
    event.preventDefault();
    const form = event.target;
    if (form.dataset.sending) return;
    const body = new FormData(form, event.submitter);
    const sent = { fields: this.#fieldsOf(form), files: form.dataset.kind === "note" ? [] : [...this.#files] };
    for (const file of sent.files) body.append("files", file, file.name);
    this.#clearErrors(form);
    this.#setSending(form, true);
    try {
      this.#accepted(form, sent, await post(form.action, body, { timeout: UPLOAD_TIMEOUT_MS }));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#refused(form, error);
    } finally {
      this.#setSending(form, false);
    }
  }

  #accepted(form, sent, answer) {
    forget(this.#placeOf(form));
    clearTimeout(this.#timer);
    if (form.dataset.kind !== "note") {
      this.#files = [];
      this.#drawFiles();
    }
    form.elements.text.value = "";
    if (form.elements.send_at_own) form.elements.send_at_own.value = "";
    if (form.elements.cancel_if_replied) form.elements.cancel_if_replied.checked = false;
    form.querySelector("details.menu[open]")?.removeAttribute("open");
    delete form.dataset.touched;
    this.#renewKey(form);
    const status = form.querySelector("[data-kept]");
    if (status) status.textContent = "";
    if (answer?.cancel_url) offerUndo(answer, this.#placeOf(form), this.place, sent);
    else if (answer?.sentence) toast(answer.sentence);
    if (form.dataset.kind === "new") {
      for (const name of ["to", "cc", "bcc", "subject"]) if (form.elements[name]) form.elements[name].value = "";
      window.htmx.ajax("GET", answer.next_url, { target: "#reading", swap: "innerHTML", push: "true" });
    }
    refreshAll();
  }

  #refused(form, error) {
    const errors = error.body?.errors;
    if (!errors) {
      complain(error.status);
      return;
    }
    let first = null;
    for (const [name, reason] of Object.entries(errors)) {
      const place = form.querySelector(`[data-wrong="${CSS.escape(name)}"]`) ?? form.querySelector('[data-wrong=""]');
      place.querySelector("span").textContent = reason;
      place.hidden = false;
      if (name === "cc" || name === "bcc") this.#reveal(name);
      const field = form.elements[name];
      field?.setAttribute?.("aria-invalid", "true");
      first ??= field?.focus ? field : place;
    }
    first?.focus();
    // What was refused is in the error queue now, too: the figure beside it changes.
    refreshAll();
  }

  #clearErrors(form) {
    for (const place of form.querySelectorAll("[data-wrong]")) place.hidden = true;
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  }

  #setSending(form, sending) {
    if (sending) form.dataset.sending = "1";
    else delete form.dataset.sending;
    for (const button of form.querySelectorAll("[type=submit]")) button.setAttribute("aria-busy", String(sending));
  }
}

/** Undo takes the mail back from the queue and puts everything, files too, where it was written. */
function offerUndo(answer, draftPlace, composerPlace, sent) {
  const run = async () => {
    try {
      await post(answer.cancel_url, new URLSearchParams());
    } catch (error) {
      toast(error.status === 409 ? say("too_late") : say("not_undone"), { tone: "bad" });
      return;
    }
    keep(draftPlace, { ...sent.fields, idempotency_key: undefined });
    keepFiles(composerPlace, sent.files);
    const composer = document.querySelector(`mail-composer[data-place="${CSS.escape(composerPlace)}"]`);
    if (composer) composer.replaceWith(freshCopy(composer));
    else window.htmx.ajax("GET", answer.compose_url, { target: "#reading", swap: "innerHTML", push: "true" });
    toast(say("undone"));
    refreshAll();
  };
  toast(answer.sentence, { seconds: answer.undo_seconds, action: { label: say("undo"), run } });
}

/** A composer starts over when it is connected anew; its markup is what the server sent. */
function freshCopy(composer) {
  const copy = composer.cloneNode(true);
  for (const form of copy.querySelectorAll("form")) {
    delete form.dataset.touched;
    delete form.dataset.sending;
  }
  composer.isReady = false;
  return copy;
}

function clock(time) {
  return new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(time);
}

function fileSize(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = bytes ? Math.min(3, Math.floor(Math.log10(bytes) / 3)) : 0;
  const format = { style: "unit", unit: units[step], unitDisplay: step ? "short" : "long", maximumFractionDigits: step > 1 ? 1 : 0 };
  return new Intl.NumberFormat(document.documentElement.lang, format).format(bytes / 1000 ** step);
}

export function defineComposer() {
  customElements.define("mail-composer", MailComposer);
}
