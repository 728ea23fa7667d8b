// Where the editor comes from, and <rich-text>: a form's field that is written with it.

let fetched = null;

/** The editor's module, fetched once. Rejects when the server does not give it; then textareas serve. */
export function editorModule() {
  const url = document.querySelector('meta[name="editor"]')?.content;
  fetched ??= import(url).catch((error) => {
    fetched = null;
    throw error;
  });
  return fetched;
}

/** Fetch it while nothing else is to be done: whoever focuses the text then writes at once. */
export function editorSoon() {
  (window.requestIdleCallback ?? ((run) => setTimeout(run, 300)))(() => editorModule().catch(() => {}));
}

class RichText extends HTMLElement {
  connectedCallback() {
    if (this.isReady) return;
    this.isReady = true;
    const shown = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      shown.disconnect();
      this.#mount().catch((error) => console.info("the editor did not come:", error.message));
    });
    shown.observe(this);
  }

  async #mount() {
    const { mountEditor } = await editorModule();
    const source = this.querySelector('script[type="application/json"]');
    const field = this.querySelector('[name="document"]');
    const editor = mountEditor(this.querySelector("textarea"), {
      bar: this.querySelector(".editor-bar"),
      linker: this.querySelector("[data-linker]"),
      content: source ? JSON.parse(source.textContent) : null,
      onChange: () => { field.value = JSON.stringify(editor.tree()); },
    });
    field.value = JSON.stringify(editor.tree());
  }
}

export function defineRichText() {
  customElements.define("rich-text", RichText);
}

