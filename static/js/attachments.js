// The files of a composer: uploaded as soon as they are picked, dropped or pasted, with their progress on their chip.

import { mayTryAgain, pictureFrom, removeUpload, upload } from "./uploads.js";
import { Refused } from "./request.js";
import { say } from "./words.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const WIDEST_PX = 640;

export class Attachments {
  #rows = [];
  #urls = new Map();

  /** `keeper()` gives the draft they belong to, `insert` puts a picture into the text. Without a keeper they stay loose. */
  constructor(composer, { keeper, insert, onChange }) {
    Object.assign(this, { composer, keeper, insert, onChange });
    this.holder = composer.querySelector("[data-files]");
    const input = composer.querySelector("input[type=file]");
    if (!input) return;
    input.addEventListener("change", () => {
      this.add([...input.files]);
      input.value = "";
    });
    composer.addEventListener("click", (event) => {
      if (event.target.closest("[data-picks]")) input.click();
      const dropped = event.target.closest("[data-drops-file]");
      if (dropped) this.#remove(dropped.dataset.dropsFile);
      const retried = event.target.closest("[data-retries-file]");
      if (retried) this.#tryAgain(retried.dataset.retriesFile);
    });
    composer.addEventListener("paste", (event) => {
      if (event.defaultPrevented || !event.clipboardData.files.length) return;
      event.preventDefault();
      this.add([...event.clipboardData.files]);
    });
    this.#acceptDrops(composer.querySelector(".reply"));
  }

  /** Those that are no pictures in the text. */
  get count() {
    return this.#rows.filter((row) => !row.content_id).length;
  }

  /** Resolves once nothing is on its way any more, to whether everything got through. */
  async arrived() {
    await Promise.allSettled(this.#rows.map((row) => row.journey));
    return this.#rows.every((row) => !row.problem);
  }

  /** Files of a composer that keeps no draft: they go with the mail itself. */
  get loose() {
    return this.#rows.map((row) => row.file).filter((file) => file && !this.keeper());
  }

  /** What the server has of a draft. */
  show(told) {
    this.#stop();
    this.#rows = told.map((row) => ({ ...row, isOnItsWay: false, problem: row.is_whole ? "" : say("upload_broken") }));
    this.#draw();
  }

  forget() {
    this.#stop();
    for (const url of this.#urls.values()) url.then((address) => address && URL.revokeObjectURL(address)).catch(() => {});
    this.#urls.clear();
  }

  add(files, { inline = false } = {}) {
    for (const file of files) {
      const row = { id: crypto.randomUUID(), filename: file.name, size_bytes: file.size, file, problem: "", share: 0 };
      row.isPicture = inline && PICTURES.has(file.type) && Boolean(this.keeper());
      this.#rows.push(row);
      if (this.keeper()) row.journey = this.#bring(row);
    }
    this.#draw();
    this.onChange();
  }

  /** The address of a picture of the text, to be shown here. */
  picture(cid) {
    if (!this.#urls.has(cid)) {
      const row = this.#rows.find((one) => one.content_id === cid);
      const found = row?.file ? Promise.resolve(URL.createObjectURL(row.file)) : this.#fetched(cid);
      this.#urls.set(cid, found.catch((error) => {
        console.info("a picture is not shown:", error.message);
        this.#urls.delete(cid);
        return "";
      }));
    }
    return this.#urls.get(cid);
  }

  /** A draft's text may be shown before its files are told. */
  async #fetched(cid) {
    const id = cid.split("@")[0].replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    const row = this.#rows.find((one) => one.content_id === cid);
    return pictureFrom(row?.url ?? `${this.composer.dataset.drafts}${this.keeper().id}/files/${id}/`);
  }

  async #bring(row) {
    row.isOnItsWay = true;
    row.stopper = new AbortController();
    const keeper = this.keeper();
    try {
      if (!keeper.isKept && !(await keeper.save())) throw new Refused(0, null);
      const base = `${keeper.base}${keeper.id}/`;
      const told = await upload(row.file, {
        base, id: row.id, inline: row.isPicture, signal: row.stopper.signal,
        onProgress: (share) => {
          row.share = share;
          this.#draw();
        },
      });
      Object.assign(row, told, { isOnItsWay: false });
      if (row.isPicture && told.content_id) {
        this.#urls.set(told.content_id, Promise.resolve(URL.createObjectURL(row.file)));
        this.insert({ type: "image", attrs: { cid: told.content_id, alt: row.filename.replace(/\.\w+$/, ""), width: await widthOf(row.file) } });
      }
    } catch (error) {
      row.isOnItsWay = false;
      if (row.stopper.signal.aborted) return;
      row.mayTryAgain = mayTryAgain(error);
      row.problem = row.mayTryAgain ? say("upload_stuck") : (error.body?.detail ?? say("upload_broken"));
    }
    this.#draw();
    this.onChange();
  }

  #tryAgain(id) {
    const row = this.#rows.find((one) => one.id === id);
    Object.assign(row, { problem: "", mayTryAgain: false });
    row.journey = this.#bring(row);
    this.#draw();
    this.holder.querySelector(`[data-drops-file="${id}"]`)?.focus();
  }

  #remove(id) {
    const row = this.#rows.find((one) => one.id === id);
    row.stopper?.abort();
    this.#rows = this.#rows.filter((one) => one !== row);
    if (row.url) removeUpload(row.url).catch((error) => console.info("it is swept later:", error.message));
    this.#draw();
    this.onChange();
    this.composer.querySelector("[data-picks]")?.focus();
  }

  #stop() {
    for (const row of this.#rows) row.stopper?.abort();
  }

  #draw() {
    if (!this.holder) return;
    const template = document.getElementById("file-chip");
    const focused = document.activeElement?.dataset?.dropsFile;
    this.holder.replaceChildren(...this.#rows.filter((row) => !row.content_id).map((row) => {
      const chip = template.content.cloneNode(true).firstElementChild;
      chip.querySelector("[data-name]").textContent = row.filename;
      chip.querySelector("small").textContent = row.problem || fileSize(row.size_bytes);
      chip.classList.toggle("broken", Boolean(row.problem));
      const bar = chip.querySelector("progress");
      bar.hidden = !row.isOnItsWay;
      bar.value = Math.round((row.share ?? 0) * 100);
      bar.setAttribute("aria-label", row.filename);
      const again = chip.querySelector("[data-retries]");
      again.hidden = !row.mayTryAgain;
      again.dataset.retriesFile = row.id;
      again.setAttribute("aria-label", say("retry_file", { name: row.filename }));
      const button = chip.querySelector("[data-drops]");
      button.dataset.dropsFile = row.id;
      button.setAttribute("aria-label", say("remove_file", { name: row.filename }));
      return chip;
    }));
    if (focused) this.holder.querySelector(`[data-drops-file="${focused}"]`)?.focus();
  }

  #acceptDrops(box) {
    this.composer.addEventListener("dragover", (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      box.dataset.dragging = "";
    });
    this.composer.addEventListener("dragleave", (event) => {
      if (!this.composer.contains(event.relatedTarget)) delete box.dataset.dragging;
    });
    this.composer.addEventListener("drop", (event) => {
      delete box.dataset.dragging;
      if (event.defaultPrevented || !event.dataTransfer.files.length) return;
      event.preventDefault();
      this.add([...event.dataTransfer.files]);
    });
  }
}

/** How wide a picture stands in the text: some readers know no other bound than this. Null for what cannot be read. */
async function widthOf(file) {
  try {
    const picture = await createImageBitmap(file);
    const { width } = picture;
    picture.close();
    return Math.min(width, WIDEST_PX);
  } catch {
    return null; // damaged, or of a kind that this browser does not draw: it stands as wide as it is
  }
}

function fileSize(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = bytes ? Math.min(3, Math.floor(Math.log10(bytes) / 3)) : 0;
  const format = { style: "unit", unit: units[step], unitDisplay: step ? "short" : "long", maximumFractionDigits: step > 1 ? 1 : 0 };
  return new Intl.NumberFormat(document.documentElement.lang, format).format(bytes / 1000 ** step);
}
