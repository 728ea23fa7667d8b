// <conversation-list>: the rows of a folder. One roving focus, live changes merged in, more rows as one scrolls.
//
// Live changes never move what a person is on. Rows that changed are replaced where they stand, those that have gone are
// taken out, on every page in sight. New ones are put in at once only when nobody is in the list: it is scrolled to its
// top, no row has the focus, and no conversation is open; otherwise a pill says how many there are, and they come when it
// is pressed.

import { Pages } from "./list_pages.js";
import { findPlace, isReturn, keepPlace } from "./list_place.js";
import { fragment, said } from "./request.js";
import { say } from "./words.js";

const QUIET_MS = 60;
const RETRY_MS = 3_000;
const KEEP_PLACE_AFTER_MS = 200;

/** Whether Tab stops at a row: at its box and its link. One row of the list is such a stop. */
function reach(link, on) {
  for (const stop of [link, link.closest(".row").querySelector("[data-picks]")]) stop.tabIndex = on ? 0 : -1;
}

class ConversationList extends HTMLElement {
  #arrivals = 0;
  #timer = 0;
  #placeTimer = 0;
  #refreshing = false;
  #again = false;
  #awaited = new Set();
  #firstEndsAt = "";

  connectedCallback() {
    this.rowsElement = this.querySelector(".rows");
    this.scroller = this.querySelector(".scroll");
    this.onChanged = ({ detail }) => {
      if (detail.mailbox === null || detail.mailbox === this.dataset.mailbox) this.#doubt();
    };
    document.addEventListener("mail:changed", this.onChanged);
    this.addEventListener("click", (event) => this.#onClick(event));
    this.addEventListener("focusin", (event) => this.#onFocus(event));
    this.pages = new Pages(this.rowsElement, this.scroller, {
      url: this.dataset.rowsUrl,
      changed: () => this.#onPages(),
      rested: () => this.pages.due().length && this.#soon(),
    });
    this.#onPages();
    this.#keepPlace();
  }

  disconnectedCallback() {
    document.removeEventListener("mail:changed", this.onChanged);
    removeEventListener("pagehide", this.onLeave);
    this.pages.stop();
    clearTimeout(this.#timer);
    clearTimeout(this.#placeTimer);
  }

  /** Rows have come or gone: which is open, which is reached by Tab, which are ticked. */
  #onPages() {
    this.#markOpen(location.pathname);
    this.#makeRoving();
    this.dispatchEvent(new CustomEvent("list:rows", { bubbles: true }));
  }

  #keepPlace() {
    this.onLeave = () => keepPlace(this, this.pages, this.scroller);
    addEventListener("pagehide", this.onLeave);
    this.scroller.addEventListener("scroll", () => {
      clearTimeout(this.#placeTimer);
      this.#placeTimer = setTimeout(this.onLeave, KEEP_PLACE_AFTER_MS);
    }, { passive: true });
    this.addEventListener("click", this.onLeave, { capture: true });
    if (!isReturn()) return;
    // On a narrow screen that shows a conversation the list has no height, and so no place, until it is seen.
    const seen = new ResizeObserver(() => {
      if (!this.scroller.clientHeight) return;
      seen.disconnect();
      findPlace(this, this.pages, this.scroller);
    });
    seen.observe(this.scroller);
  }

  get links() {
    return [...this.querySelectorAll(".row:not(.leaving) > a")];
  }

  get openLink() {
    return this.querySelector(".row > a[aria-current]");
  }

  /** The row that keys act on: the focused one, else the open one. */
  get currentRow() {
    const focused = document.activeElement?.closest?.(".row");
    return (focused && this.contains(focused) ? focused : this.openLink?.closest(".row")) ?? null;
  }

  /** Move the focus by `step` rows; from nowhere, to the first. */
  move(step) {
    const links = this.links;
    const at = links.indexOf(this.currentRow?.querySelector("a"));
    const next = links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + step))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  openCurrent() {
    (this.currentRow?.querySelector("a") ?? this.links[0])?.click();
  }

  closeConversation() {
    const link = this.openLink;
    link?.removeAttribute("aria-current");
    link?.focus({ preventScroll: true });
    link?.scrollIntoView({ block: "nearest" });
  }

  row(thread) {
    return this.pages.find(`row-${thread}`);
  }

  /** Take a row out of sight at once; the returned function brings it back. Opens the next one when it was open. */
  hideRow(thread) {
    const row = this.row(thread);
    if (!row) return () => {};
    const link = row.querySelector("a");
    const links = this.links;
    const at = links.indexOf(link);
    const next = links[at + 1] ?? links[at - 1] ?? null;
    const wasOpen = link.hasAttribute("aria-current");
    row.classList.add("leaving");
    link.removeAttribute("aria-current");
    if (row.contains(document.activeElement) || wasOpen) next?.focus({ preventScroll: true });
    this.#showEmptiness();
    return () => {
      row.classList.remove("leaving");
      if (wasOpen) link.setAttribute("aria-current", "true");
      this.#showEmptiness();
    };
  }

  /** Let a conversation that comes back (an undone archiving) in at its place, whoever is in the list. */
  await(thread) {
    this.#awaited.add(`row-${thread}`);
    this.#doubt();
  }

  #onClick(event) {
    if (event.target.closest(".pill")) {
      this.#takeArrivals();
      return;
    }
    const link = event.target.closest(".row > a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    this.openLink?.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
  }

  #onFocus(event) {
    const link = event.target.closest(".row > a");
    if (!link) return;
    for (const other of this.querySelectorAll('.row > a[tabindex="0"]')) reach(other, false);
    reach(link, true);
  }

  #makeRoving() {
    const links = this.links;
    const kept = links.find((link) => link.tabIndex === 0 && link.hasAttribute("tabindex")) ?? this.openLink ?? links[0];
    for (const link of links) reach(link, link === kept);
  }

  #markOpen(path) {
    // The one that is being opened is not in the address yet.
    if (this.openLink) return;
    for (const link of this.links) {
      if (link.pathname === path) link.setAttribute("aria-current", "true");
    }
  }

  #doubt() {
    this.pages.doubt();
    this.#soon();
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#refresh(), QUIET_MS);
  }

  async #refresh() {
    if (this.#refreshing) {
      this.#again = true;
      return;
    }
    this.#refreshing = true;
    try {
      for (const page of this.pages.due()) await this.#renew(page);
    } catch (error) {
      // What changed is still unseen: ask again soon. The connection's own state is shown elsewhere.
      console.warn("the list was not refreshed:", error.message);
      setTimeout(() => this.isConnected && this.#soon(), RETRY_MS);
    } finally {
      this.#refreshing = false;
      if (this.#again) {
        this.#again = false;
        this.#soon();
      }
    }
  }

  async #renew(page) {
    const before = said();
    page.isOld = false;
    try {
      const found = await fragment(page.url);
      if (!this.isConnected || !this.pages.pages.includes(page)) return;
      if (said() === before) this.#merge(page, [...found.querySelectorAll(".row")], found.querySelector(".more"));
      else {
        // The answer may be from before what was said, and would take back what the rows have shown.
        page.isOld = true;
        this.#again = true;
      }
    } catch (error) {
      page.isOld = true;
      throw error;
    }
  }

  #merge(page, fresh, more) {
    const isFirst = page === this.pages.first;
    const endsAt = more ? fresh.at(-1)?.dataset.at : "";
    if (isFirst) this.#firstEndsAt = endsAt;
    const isBusy = this.#isBusy();
    const known = fresh.map((row) => this.pages.has(row.id));
    this.#steadily(() => {
      this.#takeOut(page, new Set(fresh.map((row) => row.id)), endsAt);
      for (const row of fresh) this.#replace(row);
    });
    if (isFirst) {
      // What follows the last one known has come up from below: it is not new.
      const last = known.lastIndexOf(true);
      const arrived = fresh.filter((_row, at) => !known[at] && (last < 0 || at < last));
      if (isBusy) this.#letIn(page, fresh, (row) => this.#awaited.has(row.id) || !arrived.includes(row));
      else this.#settle(fresh, arrived);
      this.#arrivals = isBusy ? arrived.filter((row) => !this.pages.has(row.id)).length : 0;
      this.#showPill();
    } else this.#letIn(page, fresh, (row) => this.#awaited.has(row.id));
    this.#showEmptiness();
    this.#onPages();
  }

  /** Take out the rows of a page that its answer does not have, unless somebody is on them. */
  #takeOut(page, ids, endsAt) {
    const isFirst = page === this.pages.first;
    const rows = isFirst ? [...this.querySelectorAll(".row")] : this.pages.rowsOf(page);
    for (const row of rows) {
      // Mail that came since has moved a row among those of the first page, wherever it stands.
      const isElsewhere = row.dataset.at < endsAt || (!isFirst && row.dataset.at >= this.#firstEndsAt);
      if (ids.has(row.id) || isElsewhere || row.querySelector("a[aria-current], a:focus, :checked")) continue;
      this.pages.forget(row);
      row.remove();
    }
  }

  /** Change rows while the one that somebody is on, or points at, stays where it is in sight. */
  #steadily(change) {
    const { top, bottom } = this.scroller.getBoundingClientRect();
    const place = (row) => row?.getBoundingClientRect().top;
    const held = [this.currentRow, this.querySelector(".row:hover")].find((row) => place(row) >= top && place(row) < bottom);
    const was = place(held);
    change();
    if (held?.isConnected && place(held) !== was) this.scroller.scrollTop += place(held) - was;
  }

  #isBusy() {
    const focused = this.contains(document.activeElement) && document.activeElement.closest(".row");
    return Boolean(focused) || Boolean(this.openLink) || this.scroller.scrollTop > 4;
  }

  /** Replace a row's content where it stands, keeping its place, its focus and whether it is open. */
  #replace(fresh) {
    const row = this.querySelector(`#${CSS.escape(fresh.id)}`);
    if (!row) return;
    const link = row.querySelector("a");
    const freshLink = fresh.querySelector("a");
    // What was put away and has news since is back.
    if (row.dataset.at !== fresh.dataset.at) row.classList.remove("leaving");
    row.dataset.at = fresh.dataset.at;
    row.dataset.labels = fresh.dataset.labels;
    for (const flag of ["unread", "starred"]) row.classList.toggle(flag, fresh.classList.contains(flag));
    if (link.innerHTML !== freshLink.innerHTML) link.innerHTML = freshLink.innerHTML;
  }

  /** Put the rows into the server's order, the new ones among them. */
  #settle(fresh, arrived) {
    const known = this.querySelector(".row") !== null || this.dataset.settled !== undefined;
    let anchor = null;
    for (const row of fresh) {
      const here = this.querySelector(`#${CSS.escape(row.id)}`);
      const own = here ?? document.importNode(row, true);
      const wanted = anchor ? anchor.nextElementSibling : this.rowsElement.firstElementChild;
      if (own !== wanted) this.rowsElement.insertBefore(own, wanted);
      if (!here) {
        if (known && arrived.includes(row)) own.classList.add("arrived");
        this.pages.adopt(own, this.pages.first);
        window.htmx.process(own);
      }
      anchor = own;
    }
    this.dataset.settled = "";
    if (arrived.length) this.#announce(arrived.length);
  }

  /** Put those rows of a page that are `wanted` into their places, whoever is in the list. */
  #letIn(page, fresh, wanted) {
    const here = (row) => this.querySelector(`#${CSS.escape(row.id)}`);
    let before = fresh.map(here).find(Boolean)?.previousElementSibling ?? null;
    for (const row of fresh) {
      const own = here(row);
      if (own) before = own;
      else if (wanted(row) && !this.pages.has(row.id)) {
        this.#awaited.delete(row.id);
        const added = document.importNode(row, true);
        this.rowsElement.insertBefore(added, before ? before.nextSibling : this.rowsElement.firstChild);
        this.pages.adopt(added, page);
        window.htmx.process(added);
        before = added;
      }
    }
  }

  #announce(count) {
    const region = document.getElementById("spoken");
    if (region) region.textContent = say("arrived", { count });
  }

  #showPill() {
    const pill = this.querySelector(".pill");
    pill.hidden = this.#arrivals === 0;
    if (this.#arrivals) {
      pill.textContent = say("arrived", { count: this.#arrivals });
      this.#announce(this.#arrivals);
    }
  }

  #takeArrivals() {
    fragment(this.dataset.rowsUrl).then((page) => {
      this.#arrivals = 0;
      this.pages.reset(page);
      this.scroller.scrollTop = 0;
      this.#onPages();
      this.#showPill();
      this.links[0]?.focus({ preventScroll: true });
    }, () => this.#showPill());
  }

  #showEmptiness() {
    const empty = this.querySelector(".empty");
    if (empty) empty.hidden = this.links.length > 0;
  }
}

export function defineConversationList() {
  customElements.define("conversation-list", ConversationList);
}

export function currentList() {
  return document.querySelector("conversation-list");
}
