// Sending what a composer's form holds: what stands in the way is said at its field, what may have been forgotten is
// asked about, and what was taken can be had back for a while.
//
// Sending twice by accident is prevented by an idempotency key that is made with the draft and changed only after the
// server has taken the mail: a repeated click, or a repeat after a lost answer, is the same submission.

import { complain } from "./actions.js";
import { clearErrors, fieldsOf, showErrors, tellStatus } from "./composer_fields.js";
import { reopen } from "./composer_keeping.js";
import { fetchDraft, keep } from "./drafts.js";
import { refreshAll } from "./live.js";
import { post, Refused } from "./request.js";
import { toast } from "./toasts.js";
import { say } from "./words.js";

const UPLOAD_TIMEOUT_MS = 300_000;

export class Sending {
  #submitter = null;
  #despite = new Set();

  constructor(composer) {
    this.composer = composer;
  }

  async submit(event) {
    event.preventDefault();
    const form = event.target;
    if (form.dataset.sending) return;
    this.#submitter = event.submitter;
    await this.#send(form, event.submitter, new Set());
  }

  async #send(form, submitter, despite) {
    const { files, mail, text } = this.composer;
    clearErrors(form);
    setSending(form, true);
    try {
      if (form === mail && !(await files.arrived())) {
        showErrors(form, { files: say("upload_broken") }, text.editor);
        return;
      }
      const sent = { fields: fieldsOf(form), document: form === mail ? text.tree : null };
      const body = await this.#bodyOf(form, submitter, despite);
      this.#accepted(form, sent, await post(form.action, body, { timeout: UPLOAD_TIMEOUT_MS }));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.body?.reminders) this.#remind(form, error.body.reminders, despite);
      else this.#refused(form, error);
    } finally {
      setSending(form, false);
    }
  }

  async #bodyOf(form, submitter, despite) {
    const { files, keeping, mail, text } = this.composer;
    if (form !== mail) return new FormData(form, submitter);
    // Sent as it stands now, and found again by Undo as it was sent.
    if (keeping.keeper) {
      await keeping.onServer();
      await keeping.keeper.settle();
      form.elements.draft.value = keeping.draftId;
    }
    form.elements.document.value = text.tree ? JSON.stringify(text.tree) : "";
    const body = new FormData(form, submitter);
    body.set("reminds", "1");
    for (const code of despite) body.append("despite", code);
    for (const file of files.loose) body.append("files", file, file.name);
    return body;
  }

  #accepted(form, sent, answer) {
    const { composer } = this;
    composer.keeping.end(form);
    form.querySelector("details.menu[open]")?.removeAttribute("open");
    if (form !== composer.mail) {
      form.elements.text.value = "";
      delete form.dataset.touched;
      tellStatus(form, "");
    } else {
      if (form.elements.send_at_own) form.elements.send_at_own.value = "";
      if (form.elements.cancel_if_replied) form.elements.cancel_if_replied.checked = false;
      composer.keeping.blank();
      composer.keeping.keeper?.begin(null);
    }
    if (answer?.cancel_url) offerUndo(answer, composer, composer.keeping.placeOf(form), sent);
    else if (answer?.sentence) toast(answer.sentence);
    if (form.dataset.kind === "new" && composer.closest("#reading")) {
      window.htmx.ajax("GET", answer.next_url, { target: "#reading", swap: "innerHTML", push: "true" });
    } else composer.rest();
    refreshAll();
    composer.dispatchEvent(new CustomEvent("mail:sent", { bubbles: true }));
  }

  #remind(form, reminders, despite) {
    const box = form.querySelector("[data-reminders]");
    box.querySelector("ul").replaceChildren(...reminders.map(({ sentence }) => Object.assign(document.createElement("li"), { textContent: sentence })));
    box.hidden = false;
    this.#despite = new Set([...despite, ...reminders.map(({ code }) => code)]);
    box.querySelector("[data-goes-on]").focus();
  }

  goOn() {
    const { mail } = this.composer;
    mail.querySelector("[data-reminders]").hidden = true;
    this.#send(mail, this.#submitter, this.#despite);
  }

  goBack() {
    this.composer.mail.querySelector("[data-reminders]").hidden = true;
    this.composer.text.focus();
  }

  #refused(form, error) {
    const errors = error.body?.errors ?? (error.status === 422 && error.body?.detail ? { "": error.body.detail } : null);
    if (!errors) {
      complain(error.status);
      return;
    }
    showErrors(form, errors, this.composer.text.editor);
    // What was refused is in the error queue now, too: the figure beside it changes.
    refreshAll();
  }
}

function setSending(form, sending) {
  if (sending) form.dataset.sending = "1";
  else delete form.dataset.sending;
  for (const button of form.querySelectorAll("[type=submit]")) button.setAttribute("aria-busy", String(sending));
}

/** Undo takes the mail back from the queue and puts everything, files too, where it was written. */
function offerUndo(answer, composer, place, sent) {
  const isDocked = composer.closest("#dock") !== null;
  const run = async () => {
    let back;
    try {
      back = await post(answer.cancel_url, new URLSearchParams());
    } catch (error) {
      toast(error.status === 409 ? say("too_late") : say("not_undone"), { tone: "bad" });
      return;
    }
    if (back.draft) await reopen(composer, await fetchDraft(composer.dataset.drafts, back.draft), !isDocked);
    else {
      keep(place, { ...sent, fields: { ...sent.fields, idempotency_key: "" }, dirty: true });
      window.htmx.ajax("GET", answer.compose_url, { target: "#reading", swap: "innerHTML", push: "true" });
    }
    toast(say("undone"));
    refreshAll();
  };
  toast(answer.sentence, { seconds: answer.undo_seconds, action: { label: say("undo"), run } });
}
