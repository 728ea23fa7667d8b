// The text of a mail: the editor, or the textarea below it where there is none, by choice or because it did not come.

import { editorModule, editorSoon } from "./richtext.js";
import { pickSavedReply } from "./saved_replies.js";

const PLAIN = "writing:plain";
const EMPTY = { type: "doc", content: [{ type: "paragraph" }] };

export class WrittenText {
  #mounting = null;
  #awaited = null;

  /** `onFiles(files, inline)` hears of what was pasted, `pictureUrl(cid)` promises what to show for a picture. */
  constructor(composer, form, { onChange, onFiles, pictureUrl }) {
    Object.assign(this, { composer, form, onChange, onFiles, pictureUrl, editor: null });
    this.bar = form.querySelector(".editor-bar");
    form.addEventListener("focusin", (event) => { if (event.target === form.elements.text) this.mount(); });
    // Who types into the textarea goes on from what it says, and not from what the editor was to show.
    form.elements.text.addEventListener("input", () => { this.#awaited = null; });
    if (this.#isRich) {
      if (composer.place.startsWith("answer:")) editorSoon();
      else this.mount();
    } else if (this.#mayBeRich) this.#showBar({ isPlain: true });
  }

  get #mayBeRich() {
    return !("plain" in this.composer.dataset) && this.bar !== null;
  }

  get #isRich() {
    return this.#mayBeRich && !wantsPlain();
  }

  get isEmpty() {
    return this.editor?.isEmpty() ?? (this.#awaited === null && !this.form.elements.text.value.trim());
  }

  /** The editor's document, also while the editor has yet to come; null where the text is all. */
  get tree() {
    return this.editor?.tree() ?? this.#awaited;
  }

  async mount(tree = null) {
    // Asked for twice before it has come, it shows what was asked for last.
    this.#awaited = tree ?? this.#awaited;
    if (this.editor || (!this.#awaited && !this.#isRich)) return;
    this.#mounting ??= editorModule();
    try {
      const { mountEditor } = await this.#mounting;
      if (this.editor || !this.composer.isConnected) return;
      const textarea = this.form.elements.text;
      const hadFocus = document.activeElement === textarea;
      this.editor = mountEditor(textarea, {
        bar: this.bar,
        linker: this.form.querySelector("[data-linker]"),
        content: this.#awaited,
        onChange: this.onChange,
        onFiles: this.onFiles,
        onShortcut: () => this.pickReply(";"),
        pictureUrl: this.pictureUrl,
      });
      this.#showBar({ isPlain: false });
      this.#awaited = null;
      if (hadFocus) this.editor.focus("end");
    } catch (error) {
      this.#mounting = null;
      console.info("the editor did not come, and text serves:", error.message);
    }
  }

  /** What was written before: a document, or the text that stands in the form already. */
  show(tree) {
    if (tree && this.editor) this.editor.set(tree);
    else if (tree) this.mount(tree);
    else this.editor?.setText(this.form.elements.text.value);
  }

  clear() {
    this.#awaited = null;
    this.form.elements.text.value = "";
    this.editor?.set(EMPTY);
  }

  focus() {
    (this.editor ?? this.form.elements.text).focus();
  }

  insert(text, content = text) {
    if (this.editor) {
      this.editor.insert(content);
      return;
    }
    const field = this.form.elements.text;
    field.focus();
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    this.onChange();
  }

  togglePlain() {
    const isPlain = this.editor !== null;
    try {
      localStorage.setItem(PLAIN, isPlain ? "1" : "");
    } catch (error) {
      console.info("the choice is not kept:", error.message);
    }
    if (isPlain) {
      this.editor.destroy();
      this.editor = null;
      this.form.elements.text.focus();
    } else this.mount().then(() => this.editor?.focus("end"));
    this.#showBar({ isPlain });
    this.onChange();
  }

  #showBar({ isPlain }) {
    this.bar.hidden = false;
    this.bar.classList.toggle("plain", isPlain);
    this.bar.querySelector("[data-plain]").setAttribute("aria-pressed", String(isPlain));
  }

  /** Choose a saved reply; false where there are none to choose from. `typed` is put back when nothing is taken. */
  pickReply(typed = "") {
    const url = this.ofSender("savedReplies") ?? this.composer.dataset.savedReplies;
    if (!url) return false;
    const back = () => { if (typed) this.insert(typed); else this.focus(); };
    pickSavedReply(this.form, url, {
      onTake: ({ document: tree, text }) => this.insert(text, tree.content),
      onLeave: back,
    }).catch(back);
    return true;
  }

  /** What goes with the mailbox in From. */
  ofSender(name) {
    return this.form.elements.from?.selectedOptions?.[0]?.dataset[name];
  }

  showSignature() {
    const holder = this.form.querySelector("label[data-signature]");
    if (!holder || !this.form.elements.from) return;
    const id = this.ofSender("signature") ?? "";
    holder.hidden = !id;
    holder.querySelector("input").value = id;
    holder.querySelector("input").disabled = !id;
    holder.querySelector("[data-signature-text]").textContent = this.ofSender("signatureText") ?? "";
  }
}

function wantsPlain() {
  try {
    return localStorage.getItem(PLAIN) === "1";
  } catch {
    return false; // no storage in this browser: the choice lasts as long as the page
  }
}
