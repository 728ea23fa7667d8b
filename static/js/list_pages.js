// The rows of a long list, a page at a time: loaded when one comes near, and taken out of the document again when they
// are far from what one looks at, with a gap as high as they were. So a list scrolled for an hour is as light as a new
// one. Pages close by are kept as they are; farther ones keep only the address they came from.
//
// A row is in the document once, whatever the pages say: mail that moved up meanwhile is left where it was first seen.
// When something changed, every page is old: the list reads the first one anew, and of the others those in sight, the rest
// when one comes to them.

import { fragment } from "./request.js";

const AHEAD = "1400px 0px";
// A page farther away than this from what is in sight is taken out.
const FAR_PX = 4_000;
const KEPT_PAGES = 24;
const PARK_AFTER_MS = 250;

function newPage(url) {
  return { url, gap: null, rows: null, height: 0, loading: false, isOld: false };
}

export class Pages {
  #ids = new Set();
  #owner = new WeakMap();
  #timer = 0;

  constructor(rows, scroller, { url, changed, rested }) {
    this.rows = rows;
    this.scroller = scroller;
    this.changed = changed;
    this.rested = rested;
    this.pages = [newPage(url)];
    this.#adopt([...rows.querySelectorAll(".row")], this.pages[0]);
    this.near = new IntersectionObserver((seen) => this.#onNear(seen), { root: scroller, rootMargin: AHEAD });
    this.watchMore();
    this.onScroll = () => this.#soonPark();
    scroller.addEventListener("scroll", this.onScroll, { passive: true });
  }

  stop() {
    this.near.disconnect();
    this.scroller.removeEventListener("scroll", this.onScroll);
    clearTimeout(this.#timer);
  }

  /** Whether a row is anywhere in the list, in the document or out of it. */
  has(id) {
    return this.#ids.has(id);
  }

  /** A row of the list by its id, also one that is out of the document; null where there is none at hand. */
  find(id) {
    return this.rows.querySelector(`:scope > #${CSS.escape(id)}`) ?? this.all.find((row) => row.id === id) ?? null;
  }

  /** All rows at hand in their order, also those that are out of the document: not those that would be fetched anew. */
  get all() {
    const rows = [...this.rows.children].flatMap((one) => {
      if (one.classList.contains("row")) return [one];
      return this.pages.find((page) => page.gap === one)?.rows ?? [];
    });
    return rows.filter((row) => !row.classList.contains("leaving"));
  }

  get more() {
    return this.rows.querySelector(".more");
  }

  /** Whether the list goes no further than what has been loaded. */
  get isWhole() {
    return this.more === null;
  }

  get first() {
    return this.pages[0];
  }

  /** A row that was put into the document elsewhere belongs to `page`. */
  adopt(row, page) {
    this.#adopt([row], page);
  }

  /** Something changed, on whatever page. */
  doubt() {
    for (const page of this.pages) page.isOld = true;
  }

  /** The pages that are to be read anew now, the first one first. */
  due() {
    const { top, bottom } = this.scroller.getBoundingClientRect();
    const rowsOf = this.#rowsByPage();
    return this.pages.filter((page) => {
      if (!page.isOld || page === this.first) return page.isOld;
      const rows = rowsOf.get(page);
      return rows && rows[0].getBoundingClientRect().top < bottom && rows.at(-1).getBoundingClientRect().bottom > top;
    });
  }

  /** The rows of a page that are in the document. */
  rowsOf(page) {
    return this.#rowsByPage().get(page) ?? [];
  }

  forget(row) {
    this.#ids.delete(row.id);
  }

  /** Begin anew with a fresh first page. */
  reset(fresh) {
    this.near.disconnect();
    this.#ids.clear();
    this.pages = [newPage(this.first.url)];
    this.rows.replaceChildren(...[...fresh.querySelectorAll(".row, .more")].map((one) => document.importNode(one, true)));
    const rows = [...this.rows.querySelectorAll(".row")];
    this.#adopt(rows, this.pages[0]);
    for (const row of rows) window.htmx.process(row);
    this.watchMore();
  }

  watchMore() {
    if (this.more) this.near.observe(this.more);
  }

  #adopt(rows, page) {
    for (const row of rows) {
      this.#ids.add(row.id);
      this.#owner.set(row, page);
    }
  }

  #onNear(seen) {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      if (target.classList.contains("more")) this.#load(target);
      else this.#fill(this.pages.find((page) => page.gap === target));
    }
  }

  async #load(more) {
    if (more.dataset.loading !== undefined) return;
    more.dataset.loading = "";
    try {
      const url = more.dataset.url;
      const found = await fragment(url);
      if (!more.isConnected) return;
      const page = newPage(url);
      this.pages.push(page);
      const rows = this.#take(found, page);
      more.replaceWith(...rows, ...[...found.querySelectorAll(".more")].map((one) => document.importNode(one, true)));
      for (const row of rows) window.htmx.process(row);
      this.watchMore();
      this.changed();
      this.#soonPark();
    } catch (error) {
      console.info("more of the list could not be read:", error.message);
      delete more.dataset.loading;
      this.near.unobserve(more);
      setTimeout(() => more.isConnected && this.near.observe(more), 3_000);
    }
  }

  /** The rows of an answer that are not in the list yet. */
  #take(found, page) {
    const rows = [...found.querySelectorAll(".row")].filter((row) => !this.#ids.has(row.id));
    const own = rows.map((row) => document.importNode(row, true));
    this.#adopt(own, page);
    return own;
  }

  #soonPark() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#park();
      this.rested();
    }, PARK_AFTER_MS);
  }

  #park() {
    const here = this.pages.filter((page) => page.gap === null);
    if (here.length < 4) return;
    const { top, bottom } = this.scroller.getBoundingClientRect();
    const rowsOf = this.#rowsByPage();
    for (const page of here) {
      const rows = rowsOf.get(page) ?? [];
      if (!rows.length || rows.some((row) => row.querySelector("[aria-current], :focus"))) continue;
      const from = rows[0].getBoundingClientRect().top;
      const to = rows.at(-1).getBoundingClientRect().bottom;
      if (to < top - FAR_PX || from > bottom + FAR_PX) this.#takeOut(page, rows, to - from);
    }
    // By the first page's rows one knows what is new.
    const kept = this.pages.filter((page) => page.rows !== null && page !== this.first);
    for (const page of kept.slice(0, Math.max(0, kept.length - KEPT_PAGES))) this.#drop(page);
  }

  #rowsByPage() {
    const found = new Map();
    let page = this.pages[0];
    for (const row of this.rows.querySelectorAll(":scope > .row")) {
      page = this.#owner.get(row) ?? page;
      if (!found.has(page)) found.set(page, []);
      found.get(page).push(row);
    }
    return found;
  }

  #takeOut(page, rows, height) {
    page.gap = this.#gap(page, height);
    rows[0].before(page.gap);
    for (const row of rows) row.remove();
    page.rows = rows;
    this.near.observe(page.gap);
  }

  #drop(page) {
    for (const row of page.rows) this.#ids.delete(row.id);
    page.rows = null;
  }

  #gap(page, height) {
    const gap = document.createElement("li");
    gap.className = "gap";
    gap.ariaHidden = "true";
    gap.style.blockSize = `${height}px`;
    page.height = height;
    return gap;
  }

  async #fill(page) {
    if (!page?.gap || page.loading) return;
    const { gap } = page;
    let { rows } = page;
    if (rows === null) {
      page.loading = true;
      try {
        rows = this.#take(await fragment(page.url), page);
      } catch (error) {
        console.info("a part of the list could not be read:", error.message);
        this.near.unobserve(gap);
        setTimeout(() => gap.isConnected && this.near.observe(gap), 3_000);
        return;
      } finally {
        page.loading = false;
      }
      if (!gap.isConnected) return;
    }
    this.near.unobserve(gap);
    // What has come to the top meanwhile stays there.
    rows = rows.filter((row) => !document.getElementById(row.id));
    // Scroll anchoring keeps what is in sight where it is should a row have grown meanwhile.
    gap.replaceWith(...rows);
    if (page.rows === null) for (const row of rows) window.htmx.process(row);
    // Live changes were merged into the first page as far as it was in the document.
    Object.assign(page, { gap: null, rows: null, isOld: page === this.first || (page.isOld && page.rows !== null) });
    this.changed();
    this.#soonPark();
  }

  // keeping one's place

  /** What it takes to find this place again: addresses and heights, no mail. */
  describe() {
    const rowsOf = this.#rowsByPage();
    const pages = this.pages.map((page) => {
      const rows = rowsOf.get(page);
      const height = page.gap
        ? page.height
        : rows?.length
          ? rows.at(-1).getBoundingClientRect().bottom - rows[0].getBoundingClientRect().top
          : 0;
      return [page.url, Math.round(height)];
    });
    return { pages, more: this.more?.dataset.url ?? "" };
  }

  /** Which page a row is on, counted from 0. */
  indexOf(row) {
    return Math.max(0, this.pages.indexOf(this.#owner.get(row)));
  }

  /** Lay the list out as it was described, with gaps for all but its first page and the page `at`, which is fetched. */
  async layOut({ pages, more }, at) {
    if (pages.length < 2) return;
    const last = this.more;
    this.near.disconnect();
    const gaps = pages.slice(1).map(([url, height]) => {
      const page = { url, gap: null, rows: null, height, loading: false };
      page.gap = this.#gap(page, height);
      this.pages.push(page);
      return page.gap;
    });
    if (last) last.replaceWith(...gaps);
    else this.rows.append(...gaps);
    if (more) {
      const end = Object.assign(document.createElement("li"), { className: "more" });
      end.dataset.url = more;
      this.rows.append(end);
    }
    await this.#fill(this.pages[at]);
    for (const gap of this.rows.querySelectorAll(".gap")) this.near.observe(gap);
    this.watchMore();
  }
}
