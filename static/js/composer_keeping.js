// What a composer's forms hold, kept while one types and found again: in this browser at once, and of a mail on the
// server, too (drafts.js). A note is kept in the browser alone.

import { complain } from "./actions.js";
import { fieldsOf, fillFields, line, LINES, renewKey, showDiscarder, tellKept, tellStatus } from "./composer_fields.js";
import { DraftKeeper, fetchDraft, forget, keep, recall } from "./drafts.js";
import { refreshAll } from "./live.js";
import { post } from "./request.js";
import { toast } from "./toasts.js";
import { say } from "./words.js";

const KEEP_AFTER_MS = 300;

export class Keeping {
  #timer = 0;
  #isLeft = false;
  #beside = null;

  constructor(composer) {
    this.composer = composer;
    const { drafts, mailbox, thread } = composer.dataset;
    if (!drafts) return;
    this.keeper = new DraftKeeper({
      base: drafts,
      mailbox,
      thread,
      snapshot: () => this.snapshot(),
      onSaved: (time) => this.#onSaved(time),
      onBeside: (answer) => this.#onBeside(answer),
      onStuck: (error) => tellStatus(this.#mail, error.body?.detail ?? say("kept_here")),
    });
  }

  get #mail() {
    return this.composer.mail;
  }

  get draftId() {
    return this.keeper?.isKept ? this.keeper.id : "";
  }

  /** Whether there is anything in a form that one would miss. */
  says(form) {
    const { files, text } = this.composer;
    return ["text", "subject"].some((name) => form.elements[name]?.value.trim())
      || (form === this.#mail && (files.count > 0 || !text.isEmpty));
  }

  snapshot() {
    return { fields: fieldsOf(this.#mail), document: this.composer.text.tree };
  }

  placeOf(form) {
    return `${this.composer.place}/${form.dataset.kind}`;
  }

  soon() {
    this.#noteSeen();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.now();
      // Also that everything was taken out again.
      if (this.keeper && (this.keeper.isKept || this.says(this.#mail))) this.keeper.soon();
    }, KEEP_AFTER_MS);
  }

  /** In this browser, at once. */
  now() {
    clearTimeout(this.#timer);
    if (this.#isLeft) return;
    for (const form of this.composer.forms) {
      const says = this.says(form);
      if (!form.dataset.touched && !says) continue;
      const place = this.placeOf(form);
      if (says) {
        form.dataset.touched = "1";
        const ours = form === this.#mail ? { document: this.composer.text.tree, draft: this.draftId, version: this.keeper?.version } : {};
        const ok = keep(place, { fields: fieldsOf(form), dirty: true, ...ours });
        if (!ok) tellStatus(form, say("not_kept"));
        else if (!this.keeper || form !== this.#mail) tellKept(form, Date.now());
      } else {
        forget(place);
        tellStatus(form, "");
      }
      showDiscarder(form, says);
    }
  }

  /** As it stands now, because one turns to something else. A draft in which nothing is left is none. */
  async onServer() {
    this.now();
    if (!this.keeper) return;
    if (this.says(this.#mail)) await this.keeper.save();
    else if (this.keeper.isKept) await this.keeper.discard().catch((error) => console.info("an empty draft stays:", error.message));
  }

  /** Nothing of this place is to be found here again: it is in Drafts. */
  leave() {
    clearTimeout(this.#timer);
    forget(this.placeOf(this.#mail));
    this.#isLeft = true;
  }

  /** It has been sent, or thrown away: nothing planned is kept any more. */
  end(form) {
    clearTimeout(this.#timer);
    forget(this.placeOf(form));
  }

  #onSaved(time) {
    keep(this.placeOf(this.#mail), { ...this.snapshot(), draft: this.keeper.id, version: this.keeper.version, dirty: false });
    tellKept(this.#mail, time);
    const { composer } = this;
    composer.dispatchEvent(new CustomEvent("mail:draft", { bubbles: true, detail: { id: this.keeper.id } }));
    if (composer.place === "new" && composer.closest("#reading") && location.pathname === "/compose/" && !location.search) {
      history.replaceState(history.state, "", `?draft=${this.keeper.id}`);
    }
  }

  /** Somebody, most likely the same person elsewhere, has saved this draft since: both are kept, and it is said. */
  #onBeside({ draft, beside, beside_state: state }) {
    const note = this.#mail.querySelector("[data-beside]");
    const clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    note.querySelector("span").textContent = state === "sent" ? say("beside_sent") : say("beside", { time: clock.format(new Date(beside.saved_at)) });
    note.querySelector("[data-takes-other]").hidden = state === "sent";
    note.hidden = false;
    this.#beside = beside;
    this.composer.files.show(draft.files);
    this.#onSaved(Date.now());
  }

  /** Go on with the other of the two, or with this one. */
  settleBeside({ takesOther }) {
    this.#mail.querySelector("[data-beside]").hidden = true;
    if (takesOther) this.take(this.#beside);
    this.composer.text.focus();
  }

  /** The newest message when one began to write: the server asks whether to look first where there is a newer one. */
  #noteSeen() {
    const { seen } = this.#mail.elements;
    if (!seen || seen.value) return;
    const shown = document.querySelectorAll('#messages [id^="message-"]');
    seen.value = shown[shown.length - 1]?.id.replace("message-", "") ?? "";
  }

  restore() {
    const told = this.composer.querySelector(':scope > script[type="application/json"]');
    const server = told ? JSON.parse(told.textContent) : null;
    for (const form of this.composer.forms) {
      const local = recall(this.placeOf(form)) ?? this.#begunHere(form, server);
      if (form !== this.#mail) {
        if (local) this.fill(form, local);
      } else this.#restoreMail(form, server, local);
    }
  }

  /** What this browser has of a draft that was begun as a new mail, before it had an address of its own. */
  #begunHere(form, server) {
    const begun = form === this.#mail && server ? recall(`new/${form.dataset.kind}`) : null;
    if (begun?.draft !== server?.id) return null;
    forget(`new/${form.dataset.kind}`);
    return begun;
  }

  /** What the server has, but for what this browser typed after it; both where they have parted ways. */
  #restoreMail(form, server, local) {
    const isNewer = local && (!server || local.dirty);
    if (isNewer) {
      this.keeper?.begin(local.draft ? { id: local.draft, version: local.version } : null);
      // Its files first: pictures in the text are looked for among them.
      if (server && server.id === local.draft) this.composer.files.show(server.files);
      this.fill(form, local);
      if (local.draft && this.keeper) this.#catchUp(server);
    } else if (server) this.take(server);
    else renewKey(form);
  }

  async #catchUp(server) {
    try {
      const told = server?.id === this.keeper.id ? server : await fetchDraft(this.composer.dataset.drafts, this.keeper.id);
      this.composer.files.show(told.files);
    } catch (error) {
      // Sent, discarded for good, or of another person: what stands here is a draft of its own.
      if (error.status === 404) this.keeper.begin(null);
    }
    if (this.says(this.#mail)) this.keeper.soon();
  }

  /** Show a draft as the server tells it. */
  take(told) {
    const form = this.#mail;
    this.keeper?.begin(told);
    this.composer.files.show(told.files);
    this.fill(form, { fields: told.fields, document: told.document, keptAt: told.saved_at });
    if (!form.elements.idempotency_key.value) renewKey(form);
    keep(this.placeOf(form), { ...this.snapshot(), document: told.document, draft: told.id, version: told.version, dirty: false });
  }

  fill(form, { fields, document: tree, keptAt }) {
    fillFields(form, fields);
    form.dataset.touched = "1";
    showDiscarder(form, true);
    if (keptAt) tellKept(form, keptAt);
    if (form.hidden && form.dataset.kind === "note") this.composer.show("note");
    if (form !== this.#mail) return;
    this.composer.text.show(tree);
    if (!form.elements.idempotency_key.value) renewKey(form);
  }

  async discard() {
    const { composer } = this;
    const told = this.snapshot();
    const isOpen = composer.closest("#dock") === null;
    this.end(this.#mail);
    this.blank();
    try {
      const answer = await this.keeper.discard();
      const bringBack = async () => {
        if (answer) reopen(composer, (await post(answer.undo_url, new URLSearchParams())).draft, isOpen);
        else this.fill(this.#mail, told);
      };
      toast(say("discarded"), { action: { label: say("undo"), run: () => bringBack().catch((error) => complain(error.status ?? 0)) } });
      refreshAll();
    } catch (error) {
      this.fill(this.#mail, told);
      complain(error.status ?? 0);
      return;
    }
    if (!isOpen) composer.dispatchEvent(new CustomEvent("mail:sent", { bubbles: true }));
  }

  blank() {
    const form = this.#mail;
    this.composer.text.clear();
    this.composer.files.show([]);
    if (form.dataset.kind === "new") {
      for (const name of LINES) line(form, name).value = "";
      if (form.elements.subject) form.elements.subject.value = "";
    }
    if (form.elements.seen) form.elements.seen.value = "";
    delete form.dataset.touched;
    tellStatus(form, "");
    showDiscarder(form, false);
    form.querySelector("[data-reminders]").hidden = true;
    form.querySelector("[data-beside]").hidden = true;
    const leftOut = form.querySelector("[data-left-out]");
    if (leftOut) leftOut.hidden = true;
    renewKey(form);
  }
}

/** Show a draft where it was written, if that is still on the page, or else where drafts of its kind are written. */
export async function reopen(composer, draft, isOpen) {
  const same = composer.isConnected ? composer : document.querySelector(`mail-composer[data-place="${CSS.escape(composer.place)}"]`);
  if (same?.isConnected) same.take(draft);
  else if (!isOpen) document.dispatchEvent(new CustomEvent("mail:compose", { detail: { draft: draft.id } }));
  else window.htmx.ajax("GET", draft.url, { target: "#reading", swap: "innerHTML", push: "true" });
}
