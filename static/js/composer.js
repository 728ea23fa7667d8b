// <mail-composer>: an answer, a note or a new mail. What is pressed in it, and its parts:
//
//     text       the editor, or plain text              composer_text.js
//     files      attachments, uploaded at once          attachments.js
//     keeping    drafts, in this browser and beyond     composer_keeping.js
//     sending    errors, reminders, Undo                composer_sending.js

import { Attachments } from "./attachments.js";
import { line, reveal } from "./composer_fields.js";
import { Keeping } from "./composer_keeping.js";
import { Sending } from "./composer_sending.js";
import { WrittenText } from "./composer_text.js";

class MailComposer extends HTMLElement {
  connectedCallback() {
    if (this.isReady) return;
    this.isReady = true;
    this.forms = [...this.querySelectorAll("form")];
    this.mail = this.forms.find((form) => form.dataset.kind !== "note");
    this.place = this.dataset.place;
    const onChange = () => this.keeping.soon();
    this.keeping = new Keeping(this);
    this.sending = new Sending(this);
    this.files = new Attachments(this, {
      keeper: () => this.keeping.keeper,
      insert: (picture) => this.text.editor?.insert(picture),
      onChange,
    });
    this.text = new WrittenText(this, this.mail, {
      onChange,
      onFiles: (files, inline) => this.files.add(files, { inline }),
      pictureUrl: (cid) => this.files.picture(cid),
    });
    this.addEventListener("input", (event) => this.#onInput(event));
    this.addEventListener("submit", (event) => this.sending.submit(event));
    this.addEventListener("click", (event) => this.#onClick(event));
    this.addEventListener("keydown", (event) => this.#onKey(event));
    // Fields that are elements of their own must be ready before they are filled.
    customElements.whenDefined("recipient-field").then(() => {
      this.keeping.restore();
      this.text.showSignature();
    });
  }

  disconnectedCallback() {
    if (!this.isReady) return;
    this.keeping.onServer();
    this.files.forget();
  }

  /** Show the answer's or the note's form and put the cursor into it. `replyAll` adds everybody else to Cc. */
  begin(kind, { replyAll = false } = {}) {
    const form = this.show(kind);
    if (replyAll && this.dataset.everybody && !line(form, "cc")?.value) {
      line(form, "cc").value = this.dataset.everybody;
      reveal(form, "cc");
      const leftOut = form.querySelector("[data-left-out]");
      if (leftOut) leftOut.hidden = false;
    }
    if (kind === "new" && !line(form, "to")?.value) line(form, "to").focus();
    else if (form === this.mail) this.text.focus();
    else form.elements.text.focus();
    this.scrollIntoView({ block: "nearest" });
  }

  /** Put the cursor beside the answer, so that keys are commands again; what was written stays. */
  rest() {
    this.closest("#reading")?.querySelector("h1")?.focus({ preventScroll: true });
  }

  get recipientsUrl() {
    return this.text.ofSender("recipients") ?? this.dataset.recipients;
  }

  get draftId() {
    return this.keeping.draftId;
  }

  get hasText() {
    return this.keeping.says(this.mail);
  }

  /** Whether anything stands in one of its forms. */
  get isWritten() {
    return this.forms?.some((form) => this.keeping.says(form)) ?? false;
  }

  keepOnServer() {
    return this.keeping.onServer();
  }

  leave() {
    this.keeping.leave();
  }

  take(told) {
    this.keeping.take(told);
  }

  show(kind) {
    for (const form of this.forms) form.hidden = form.dataset.kind !== kind;
    for (const tab of this.querySelectorAll("[role=tab]")) {
      tab.setAttribute("aria-selected", String(tab.dataset.kind === kind));
      tab.tabIndex = tab.dataset.kind === kind ? 0 : -1;
    }
    this.querySelector(".reply")?.classList.toggle("for-note", kind === "note");
    return this.forms.find((form) => form.dataset.kind === kind);
  }

  #onInput(event) {
    if (event.target.closest("[data-linker], .picker")) return;
    if (event.target.matches('[name="from"]')) this.text.showSignature();
    this.keeping.soon();
  }

  #onClick(event) {
    const pressed = (selector) => event.target.closest(selector);
    const revealer = pressed("[data-reveals]");
    if (revealer) {
      reveal(this.mail, revealer.dataset.reveals);
      line(this.mail, revealer.dataset.reveals).focus();
    }
    if (pressed("[data-answers-everybody]")) this.begin("reply", { replyAll: true });
    const tab = pressed("[role=tab]");
    if (tab) this.begin(tab.dataset.kind);
    const left = pressed("[data-drops-kept]");
    if (left) {
      left.closest("[data-kept-file]").remove();
      this.querySelector("[data-picks]")?.focus();
    }
    if (pressed("[data-plain]")) this.text.togglePlain();
    if (pressed("button[data-saved-replies]")) this.text.pickReply();
    if (pressed("[data-discards]")) this.keeping.discard();
    if (pressed("[data-goes-on]")) this.sending.goOn();
    if (pressed("[data-goes-back]")) this.sending.goBack();
    if (pressed("[data-takes-other], [data-keeps-both]")) {
      this.keeping.settleBeside({ takesOther: Boolean(pressed("[data-takes-other]")) });
    }
  }

  #onKey(event) {
    if (event.key === "Escape" && event.target.closest("[data-reminders]")) {
      event.preventDefault();
      event.stopPropagation();
      this.sending.goBack();
    } else if (event.key === "Escape" && (event.target.matches(".written") || (event.target.matches("textarea") && !event.defaultPrevented))) {
      // The text editor claims Escape, and does nothing of use with it.
      this.rest();
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const tab = event.target.closest("[role=tab]");
      if (!tab) return;
      const other = this.querySelector(`[role=tab]:not([data-kind="${tab.dataset.kind}"])`);
      this.show(other.dataset.kind);
      other.focus();
    }
  }
}

export function defineComposer() {
  // Whoever leaves the page in the moment after a key finds that letter again, too.
  addEventListener("pagehide", () => { for (const one of document.querySelectorAll("mail-composer")) one.keepOnServer(); });
  customElements.define("mail-composer", MailComposer);
}
