// What has been typed and not been sent: kept in this browser at once, and on the server every few seconds.
//
// The browser's copy is the net below: it is written first, and marked `dirty` until the server has it. A draft belongs
// to a person and a place ("new", or an answer in one conversation).

import { post, Refused } from "./request.js";

const PREFIX = "draft:";
const SAVE_AFTER_MS = 1_500;
const SAVE_AT_LEAST_EVERY_MS = 6_000;
const RETRY_MS = 8_000;
/** This page, among all in which a draft may be open. */
const EDITOR = crypto.randomUUID();

function keyOf(place) {
  return `${PREFIX}${document.body.dataset.person}:${place}`;
}

/** Keep `{fields, document, draft, version, dirty}`; false when this browser has no room or no storage. */
export function keep(place, record) {
  try {
    localStorage.setItem(keyOf(place), JSON.stringify({ ...record, keptAt: Date.now() }));
    return true;
  } catch (error) {
    console.warn("the draft is not kept:", error.message);
    return false;
  }
}

/** What `keep` was given, and `keptAt`; or null. */
export function recall(place) {
  try {
    return JSON.parse(localStorage.getItem(keyOf(place)));
  } catch (error) {
    console.warn("the draft could not be read:", error.message);
    return null;
  }
}

export function forget(place) {
  try {
    localStorage.removeItem(keyOf(place));
  } catch (error) {
    console.warn("the draft could not be removed:", error.message);
  }
}

export async function fetchDraft(base, id) {
  const response = await fetch(`${base}${id}/`, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Refused(response.status, null);
  return response.json();
}

/**
 * One draft on the server. Saves one after the other, so that they cannot overtake each other; what changes while one is
 * on its way goes with the next. `snapshot()` gives what is to be kept; `onSaved(time)`, `onBeside(answer)` and
 * `onStuck()` tell what became of it.
 */
export class DraftKeeper {
  #timer = 0;
  #since = 0;
  #saving = null;
  #turn = 0;

  constructor({ base, mailbox = "", thread = "", snapshot, onSaved, onBeside, onStuck }) {
    Object.assign(this, { base, mailbox, thread, snapshot, onSaved, onBeside, onStuck });
    this.begin(null);
  }

  /** Go on with a draft that the server told of, or with a new one. */
  begin(told) {
    clearTimeout(this.#timer);
    this.id = told?.id ?? crypto.randomUUID();
    this.version = told?.version ?? 0;
  }

  get isKept() {
    return this.version > 0;
  }

  soon() {
    const now = Date.now();
    this.#since ||= now;
    clearTimeout(this.#timer);
    const wait = Math.max(0, Math.min(SAVE_AFTER_MS, this.#since + SAVE_AT_LEAST_EVERY_MS - now));
    this.#timer = setTimeout(() => this.save(), wait);
  }

  /** Save what stands there now, after whatever is on its way. Resolves to whether the server has it. */
  async save() {
    clearTimeout(this.#timer);
    this.#since = 0;
    while (this.#saving) await this.#saving;
    this.#saving = this.#send();
    try {
      return await this.#saving;
    } finally {
      this.#saving = null;
    }
  }

  /** Nothing more is to be saved: what was planned is not, what is on its way has ended. */
  async settle() {
    clearTimeout(this.#timer);
    this.#since = 0;
    while (this.#saving) await this.#saving;
  }

  async #send() {
    const { fields, document: written } = this.snapshot();
    this.#turn += 1;
    const body = {
      fields, document: written, version: this.version, editor: EDITOR, turn: this.#turn,
      mailbox: this.mailbox, thread: this.thread,
    };
    const id = this.id;
    try {
      const answer = await post(`${this.base}${id}/`, JSON.stringify(body), { isShown: false });
      if (this.id !== id) return true;
      this.id = answer.id;
      this.version = answer.version;
      if (answer.beside) this.onBeside?.(answer);
      else this.onSaved?.(Date.now());
      return true;
    } catch (error) {
      this.onStuck?.(error);
      if (!error.status || error.status >= 500) this.#timer = setTimeout(() => this.save(), RETRY_MS);
      return false;
    }
  }

  /** Throw it away; the answer says how to have it back. */
  async discard() {
    await this.settle();
    const { id, isKept } = this;
    this.begin(null);
    return isKept ? post(`${this.base}${id}/discard/`, new URLSearchParams()) : null;
  }
}

