// The editor: a file of its own, fetched when somebody begins to write.
//
// It stands in the place of a textarea, which goes on holding the plain text; what is sent is the document, as JSON,
// which the server checks and writes out itself. No HTML of the browser's is ever sent. Styles come from our own sheet:
// the page's policy allows no others.

import { Editor, Node } from "@tiptap/core";
import { Table, TableCell, TableHeader, TableRow } from "@tiptap/extension-table";
import StarterKit from "@tiptap/starter-kit";

const TOGGLES = {
  bold: (chain) => chain.toggleBold(),
  italic: (chain) => chain.toggleItalic(),
  underline: (chain) => chain.toggleUnderline(),
  strike: (chain) => chain.toggleStrike(),
  code: (chain) => chain.toggleCode(),
  heading: (chain) => chain.toggleHeading({ level: 2 }),
  bulletList: (chain) => chain.toggleBulletList(),
  orderedList: (chain) => chain.toggleOrderedList(),
  blockquote: (chain) => chain.toggleBlockquote(),
};

/**
 * Put an editor in the place of `textarea`. `bar` is its toolbar, `linker` the line that asks for a link's address.
 *
 * `onChange` hears of every change; `onFiles(files, inline)` of files that were pasted or dropped; `onShortcut(key)`
 * may take ";" at the beginning of a word; `pictureUrl(cid)` promises what to show for a picture.
 */
export function mountEditor(textarea, { bar, linker, onChange, onFiles, onShortcut, pictureUrl, content }) {
  const place = document.createElement("div");
  place.className = "rich";
  textarea.before(place);
  const editor = new Editor({
    element: place,
    injectCSS: false,
    extensions: [
      StarterKit.configure({
        heading: { levels: [2, 3] },
        link: { openOnClick: false, autolink: true, linkOnPaste: true, defaultProtocol: "https", HTMLAttributes: { target: null, rel: null } },
      }),
      Table.configure({ resizable: false }),
      TableRow,
      TableHeader,
      TableCell,
      picture(pictureUrl),
    ],
    content: content ?? treeOf(textarea.value),
    editorProps: {
      attributes: labelling(textarea),
      // Ctrl+Enter sends, by the page's registry of commands: neither taken nor prevented here.
      handleDOMEvents: { keydown: (_view, event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) },
      handleKeyDown: (view, event) => onKey(view, event, { onShortcut, openLinker }),
      transformPastedHTML: withoutStyles,
      handlePaste: (_view, event) => takeFiles(event, event.clipboardData, onFiles),
      handleDrop: (_view, event) => takeFiles(event, event.dataTransfer, onFiles),
    },
    onUpdate: () => {
      textarea.value = textOf(editor);
      onChange?.();
    },
    onTransaction: () => showState(editor, bar),
  });
  textarea.hidden = true;
  const label = labelOf(textarea);
  if (label) label.htmlFor = "";
  bar.hidden = false;
  const letGo = wireBar(editor, bar, linker, openLinker);
  showState(editor, bar);
  markEmpty(editor, textarea);
  editor.on("update", () => markEmpty(editor, textarea));

  function openLinker() {
    const input = linker.querySelector("input");
    linker.hidden = false;
    input.value = editor.getAttributes("link").href ?? "";
    input.focus();
    input.select();
  }

  return {
    element: place,
    tree: () => editor.getJSON(),
    isEmpty: () => editor.isEmpty,
    // At once: the editor's own command waits for a frame, and the next key would go nowhere.
    focus(where) {
      editor.view.focus();
      if (where) editor.commands.focus(where);
    },
    set(tree) {
      editor.commands.setContent(tree, { emitUpdate: false });
      textarea.value = textOf(editor);
      markEmpty(editor, textarea);
    },
    setText: (text) => editor.commands.setContent(treeOf(text), { emitUpdate: true }),
    insert(content) {
      editor.view.focus();
      editor.chain().insertContent(content).run();
    },
    destroy() {
      letGo();
      editor.destroy();
      place.remove();
      bar.hidden = true;
      linker.hidden = true;
      if (label) label.htmlFor = textarea.id;
      textarea.hidden = false;
    },
  };
}

/** A picture in the text. Its bytes are a file of the draft, named by a content id. */
function picture(pictureUrl) {
  return Node.create({
    name: "image",
    inline: true,
    group: "inline",
    atom: true,
    draggable: true,
    addAttributes: () => ({ cid: {}, alt: { default: "" }, width: { default: null }, height: { default: null } }),
    parseHTML: () => [{ tag: "img[data-cid]", getAttrs: (element) => ({ cid: element.dataset.cid, alt: element.alt }) }],
    renderHTML: ({ node }) => ["img", { "data-cid": node.attrs.cid, alt: node.attrs.alt }],
    addNodeView: () => ({ node }) => {
      const image = document.createElement("img");
      image.alt = node.attrs.alt;
      image.dataset.cid = node.attrs.cid;
      if (node.attrs.width) image.width = node.attrs.width;
      pictureUrl?.(node.attrs.cid).then((url) => { if (url) image.src = url; });
      return { dom: image };
    },
  });
}

function labelling(textarea) {
  const label = labelOf(textarea);
  if (label && !label.id) label.id = `${textarea.id}-label`;
  return {
    role: "textbox",
    "aria-multiline": "true",
    "aria-labelledby": label?.id ?? "",
    "aria-describedby": textarea.getAttribute("aria-describedby") ?? "",
    "data-placeholder": textarea.placeholder,
    class: "written",
    dir: "auto",
  };
}

function labelOf(textarea) {
  return textarea.labels[0] ?? document.getElementById(`${textarea.id}-label`);
}

function onKey(view, event, { onShortcut, openLinker }) {
  const withControl = event.ctrlKey || event.metaKey;
  if (withControl && event.key === "k") {
    event.preventDefault();
    event.stopPropagation();
    openLinker();
    return true;
  }
  if (event.key !== ";" || event.isComposing || !onShortcut) return false;
  const { $from, empty } = view.state.selection;
  const before = $from.parent.textBetween(Math.max(0, $from.parentOffset - 1), $from.parentOffset, null, " ");
  if (!empty || before.trim()) return false;
  return onShortcut(";");
}

/** Files, but not the picture of a text that a word processor puts beside the text itself. */
function takeFiles(event, data, onFiles) {
  if (!onFiles || !data?.files.length) return false;
  const html = data.getData("text/html");
  if (html && new DOMParser().parseFromString(html, "text/html").body.textContent.trim()) return false;
  event.preventDefault();
  event.stopPropagation();
  onFiles([...data.files], true);
  return true;
}

/** What the page's policy would only complain of: styles, handlers and pictures from elsewhere are nothing we keep. */
function withoutStyles(html) {
  return html
    .replace(/<(style|script|title)\b[\s\S]*?<\/\1\s*>/gi, "")
    // Google Docs wraps everything in a <b> that is not bold, and says so in its style only.
    .replace(/<b\b[^>]*font-weight:\s*normal[^>]*>/gi, "<span>")
    .replace(/<img\b(?![^>]*\sdata-cid=)[^>]*>/gi, "")
    .replace(/<[a-z][^>]*>/gi, (tag) => tag.replace(/\s(?:style|on\w+)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)/gi, ""));
}

function wireBar(editor, bar, linker, openLinker) {
  const buttons = [...bar.querySelectorAll("button")];
  buttons.forEach((button, n) => { button.tabIndex = n ? -1 : 0; });
  const press = (event) => {
    const name = event.target.closest("[data-format]")?.dataset.format;
    if (name === "link") openLinker();
    else if (name) TOGGLES[name](editor.chain().focus()).run();
  };
  const rove = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = buttons.indexOf(document.activeElement);
    if (at < 0 || (!step && event.key !== "Home" && event.key !== "End")) return;
    event.preventDefault();
    const forward = getComputedStyle(bar).direction === "rtl" ? -1 : 1;
    const next = step ? (at + step * forward + buttons.length) % buttons.length : event.key === "Home" ? 0 : buttons.length - 1;
    buttons[at].tabIndex = -1;
    buttons[next].tabIndex = 0;
    buttons[next].focus();
  };
  const link = (event) => {
    if (event.target.closest("[data-sets-link]")) setLink(editor, linker);
    else if (event.target.closest("[data-clears-link]")) closeLinker(editor, linker, (chain) => chain.extendMarkRange("link").unsetLink());
  };
  const linkKey = (event) => {
    if (event.key === "Enter") setLink(editor, linker);
    else if (event.key === "Escape") closeLinker(editor, linker);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  // A pressed button must not take the selection with the focus.
  const hold = (event) => { if (event.target.closest("[data-format]")) event.preventDefault(); };
  const wired = [[bar, "click", press], [bar, "keydown", rove], [bar, "mousedown", hold], [linker, "click", link], [linker, "keydown", linkKey]];
  for (const [element, kind, listener] of wired) element.addEventListener(kind, listener);
  return () => { for (const [element, kind, listener] of wired) element.removeEventListener(kind, listener); };
}

function setLink(editor, linker) {
  const typed = linker.querySelector("input").value.trim();
  const href = !typed ? "" : /^(https?:\/\/|mailto:|tel:)/i.test(typed) ? typed : typed.includes("@") && !typed.includes("/") ? `mailto:${typed}` : `https://${typed}`;
  closeLinker(editor, linker, (chain) => {
    if (!href) return chain.extendMarkRange("link").unsetLink();
    if (!editor.state.selection.empty || editor.isActive("link")) return chain.extendMarkRange("link").setLink({ href });
    return chain.insertContent({ type: "text", text: typed, marks: [{ type: "link", attrs: { href } }] });
  });
}

function closeLinker(editor, linker, change = (chain) => chain) {
  linker.hidden = true;
  change(editor.chain().focus()).run();
}

function showState(editor, bar) {
  for (const button of bar.querySelectorAll("[data-format]")) {
    button.setAttribute("aria-pressed", String(editor.isActive(button.dataset.format)));
  }
}

function markEmpty(editor, textarea) {
  editor.view.dom.classList.toggle("empty", editor.isEmpty);
  editor.view.dom.dataset.placeholder = textarea.placeholder;
}

function textOf(editor) {
  return editor.getText({ blockSeparator: "\n\n" });
}

/** What was typed as text: a paragraph for each, divided by blank lines. */
function treeOf(text) {
  const paragraphs = text.replaceAll("\r\n", "\n").split(/\n{2,}/).map((paragraph) => ({
    type: "paragraph",
    content: paragraph.split("\n").flatMap((line, n) => [
      ...(n ? [{ type: "hardBreak" }] : []),
      ...(line ? [{ type: "text", text: line }] : []),
    ]),
  }));
  return { type: "doc", content: paragraphs };
}
