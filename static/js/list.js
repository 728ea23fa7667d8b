// <conversation-list>: the rows of a folder. One roving focus, live changes merged in, more rows as one scrolls.
//
// Live changes never move what a person is on. Rows that changed are replaced where they stand. New ones are put in at
// once only when nobody is in the list: it is scrolled to its top, no row has the focus, and no conversation is open;
// otherwise a pill says how many there are, and they come when it is pressed.

import { fragment } from "./request.js";
import { say } from "./words.js";

const QUIET_MS = 60;
const RETRY_MS = 3_000;

class ConversationList extends HTMLElement {
  #arrivals = 0;
  #timer = 0;
  #refreshing = false;
  #again = false;
  #awaited = new Set();

  connectedCallback() {
    this.rowsElement = this.querySelector(".rows");
    this.scroller = this.querySelector(".scroll");
    this.onChanged = ({ detail }) => {
      if (detail.mailbox === null || detail.mailbox === this.dataset.mailbox) this.#soon();
    };
    document.addEventListener("mail:changed", this.onChanged);
    this.addEventListener("click", (event) => this.#onClick(event));
    this.addEventListener("focusin", (event) => this.#onFocus(event));
    this.#markOpen(location.pathname);
    this.#makeRoving();
    this.#watchEnd();
  }

  disconnectedCallback() {
    document.removeEventListener("mail:changed", this.onChanged);
    this.observer?.disconnect();
    clearTimeout(this.#timer);
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
  }

  row(thread) {
    return this.querySelector(`#row-${CSS.escape(thread)}`);
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
    this.#soon();
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
    for (const other of this.querySelectorAll('.row > a[tabindex="0"]')) other.tabIndex = -1;
    link.tabIndex = 0;
  }

  #makeRoving() {
    const links = this.links;
    const kept = links.find((link) => link.tabIndex === 0 && link.hasAttribute("tabindex")) ?? this.openLink ?? links[0];
    for (const link of links) link.tabIndex = link === kept ? 0 : -1;
  }

  #markOpen(path) {
    for (const link of this.links) {
      if (link.pathname === path) link.setAttribute("aria-current", "true");
    }
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
      const page = await fragment(this.dataset.rowsUrl);
      if (this.isConnected) this.#merge([...page.querySelectorAll(".row")], page.querySelector(".more"));
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

  #merge(fresh, more) {
    const ids = new Set(fresh.map((row) => row.id));
    const oldest = more ? fresh.at(-1)?.dataset.at : "";
    const busy = this.#isBusy();
    for (const row of this.querySelectorAll(".row")) {
      const isKept = ids.has(row.id) || row.dataset.at < oldest || row.querySelector("a[aria-current], a:focus");
      if (!isKept) row.remove();
    }
    const arrived = fresh.filter((row) => !this.querySelector(`#${CSS.escape(row.id)}`));
    for (const row of fresh) this.#replace(row);
    if (busy) this.#letAwaitedIn(fresh);
    else this.#settle(fresh, arrived);
    this.#arrivals = busy ? arrived.filter((row) => !this.row(row.id.slice(4))).length : 0;
    this.#showPill();
    this.#showEmptiness();
    this.#makeRoving();
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
    row.dataset.at = fresh.dataset.at;
    row.classList.toggle("unread", fresh.classList.contains("unread"));
    if (link.innerHTML !== freshLink.innerHTML) link.innerHTML = freshLink.innerHTML;
  }

  /** Put the rows into the server's order, the new ones among them. */
  #settle(fresh, arrived) {
    const known = this.querySelector(".row") !== null || this.dataset.settled !== undefined;
    let anchor = null;
    for (const row of fresh) {
      const own = this.querySelector(`#${CSS.escape(row.id)}`) ?? document.importNode(row, true);
      const wanted = anchor ? anchor.nextElementSibling : this.rowsElement.firstElementChild;
      if (own !== wanted) this.rowsElement.insertBefore(own, wanted);
      if (arrived.includes(row)) {
        if (known) own.classList.add("arrived");
        window.htmx.process(own);
      }
      anchor = own;
    }
    this.dataset.settled = "";
    if (arrived.length) this.#announce(arrived.length);
  }

  #letAwaitedIn(fresh) {
    let before = null;
    for (const row of fresh) {
      const own = this.querySelector(`#${CSS.escape(row.id)}`);
      if (own) before = own;
      else if (this.#awaited.delete(row.id)) {
        const added = document.importNode(row, true);
        this.rowsElement.insertBefore(added, before ? before.nextSibling : this.rowsElement.firstChild);
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
    this.#arrivals = 0;
    this.scroller.scrollTop = 0;
    fragment(this.dataset.rowsUrl).then((page) => {
      const fresh = [...page.querySelectorAll(".row")];
      const arrived = fresh.filter((row) => !this.querySelector(`#${CSS.escape(row.id)}`));
      this.#settle(fresh, arrived);
      this.#makeRoving();
      this.#showPill();
      this.links[0]?.focus({ preventScroll: true });
    }, () => this.#showPill());
  }

  #showEmptiness() {
    const empty = this.querySelector(".empty");
    if (empty) empty.hidden = this.links.length > 0;
  }

  /** htmx loads the next page when the sentinel is revealed; new rows join the roving focus. */
  #watchEnd() {
    this.observer = new MutationObserver(() => this.#makeRoving());
    this.observer.observe(this.rowsElement, { childList: true });
  }
}

export function defineConversationList() {
  customElements.define("conversation-list", ConversationList);
}

export function currentList() {
  return document.querySelector("conversation-list");
}
