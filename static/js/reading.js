// The open conversation: marked read once it is shown, kept fresh while it is open, and the rail's figures beside it.

import { currentList } from "./list.js";
import { fragment, post, said } from "./request.js";
import { toast } from "./toasts.js";
import { say } from "./words.js";

const QUIET_MS = 80;

let timer = 0;
let refreshing = false;
let again = false;

export function startReading() {
  document.addEventListener("mail:changed", ({ detail }) => {
    clearTimeout(timer);
    timer = setTimeout(() => refresh(detail.mailbox), QUIET_MS);
  });
  document.addEventListener("htmx:after:swap", ({ detail }) => {
    if (detail.ctx.target?.id === "reading" || detail.ctx.target === document.body) shown();
  });
  watchWidth();
  shown();
}

/** The conversation that is open, or null. */
export function openConversation() {
  return document.getElementById("conversation");
}

function shown() {
  const open = openConversation();
  if (!open) return;
  scrollToNewest(open);
  markRead(open);
}

function scrollToNewest(open) {
  const first = open.querySelector(".msg[data-unread]") ?? open.querySelector(".msg:last-of-type");
  const scroller = open.closest(".scroll") ?? open;
  if (first && open.querySelectorAll(".msg").length > 1) {
    scroller.scrollTop += first.getBoundingClientRect().top - scroller.getBoundingClientRect().top - 64;
  }
}

async function markRead(open) {
  if (document.hidden || open.dataset.unread === undefined) return;
  delete open.dataset.unread;
  currentList()?.row(open.dataset.thread)?.classList.remove("unread");
  const body = new URLSearchParams({ is_read: "1" });
  try {
    await post(open.dataset.readUrl, body);
  } catch (error) {
    open.dataset.unread = "";
    console.warn("the conversation was not marked read:", error.message);
  }
}

/** A person marked it unread: it stays so, though it may still be in sight, until it is opened again. */
export function leaveUnread() {
  const open = openConversation();
  if (open) open.dataset.leftUnread = "";
}

async function refresh(mailbox) {
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = true;
  try {
    await Promise.all([refreshRail(), refreshConversation(mailbox), refreshPage()]);
  } catch (error) {
    console.warn("the page was not refreshed:", error.message);
  } finally {
    refreshing = false;
    if (again) {
      again = false;
      refresh(null);
    }
  }
}

async function refreshRail() {
  const rail = document.getElementById("rail");
  if (!rail) return;
  const page = await fragment(rail.dataset.url);
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const old = rail.querySelector(`[data-live="${CSS.escape(fresh.dataset.live)}"]`);
    if (old && old.outerHTML !== fresh.outerHTML) old.replaceWith(document.importNode(fresh, true));
  }
}

/** What is open was fetched before something changed: bring it up to date. */
export async function refreshOpen() {
  try {
    await refreshConversation(null);
  } catch (error) {
    console.warn("the conversation was not refreshed:", error.message);
  }
}

/** Only messages and ticket chips are replaced: the answer being written is left alone. */
async function refreshConversation(mailbox) {
  const open = openConversation();
  if (!open || (mailbox && mailbox !== open.dataset.mailbox)) return;
  const unfolded = open.querySelector("details.middle[open]")?.dataset.before;
  const before = said();
  const page = await fragment(unfolded ? `${open.dataset.url}?unfolded=${unfolded}` : open.dataset.url);
  const fresh = page.getElementById("conversation");
  if (openConversation() !== open || !fresh) return;
  if (said() !== before) {
    // The page may be from before what was said, and would take back what its answer has shown.
    refresh(null);
    return;
  }
  if (fresh.dataset.thread !== open.dataset.thread) {
    // Somebody merged it while it was open. What is being written here is not taken away; the way there is offered.
    const run = () => window.htmx.ajax("GET", fresh.dataset.url, { target: "#reading", swap: "innerHTML", push: "true" });
    toast(say("merged"), { action: { label: say("show"), run } });
    return;
  }
  for (const id of ["messages", "about", "bar"]) {
    // Another conversation may have been opened, or something said, while the part before was morphed.
    if (openConversation() !== open) return;
    if (said() !== before) {
      refresh(null);
      return;
    }
    const part = page.getElementById(id);
    const old = document.getElementById(id);
    if (!part || !old || old.querySelector("details.menu[open]")) continue;
    if (id === "messages") {
      keepOpened(old, part);
      keepChosen(old, part);
    }
    await morph(old, part.outerHTML);
  }
  if (fresh.dataset.unread !== undefined && open.dataset.leftUnread === undefined) {
    open.dataset.unread = "";
    markRead(open);
  }
}

/** What a person has open stays open: the server opens only the newest messages. */
function keepOpened(old, fresh) {
  for (const closed of fresh.querySelectorAll("details.msg")) {
    const shownNow = old.querySelector(`section#${CSS.escape(closed.id)}, details[open]#${CSS.escape(closed.id)}`);
    if (shownNow) closed.replaceWith(shownNow.cloneNode(true));
  }
}

/** What a person has just chosen to see is shown, whether the server has heard of it yet or not. */
function keepChosen(old, fresh) {
  for (const body of old.querySelectorAll(".body[data-looking]")) {
    const shownNow = body.closest("[id^='message-']");
    if (shownNow) fresh.querySelector(`#${CSS.escape(shownNow.id)}`)?.replaceWith(shownNow.cloneNode(true));
  }
}

/** A frame fits itself to its mail when it loads, and only then; a new width is a reason to load again. */
function watchWidth() {
  if (!CSS.supports("frame-sizing", "content-height")) return;
  let width = innerWidth;
  let pause = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(pause);
    pause = setTimeout(() => {
      for (const frame of document.querySelectorAll("iframe.paper")) frame.src = frame.getAttribute("src");
    }, 250);
  });
}

async function refreshPage() {
  const live = document.querySelector("[data-live-page]");
  // What somebody is choosing or typing right now is not taken from under their hands; the next notice comes.
  if (!live || live.querySelector("details.menu[open], input:focus, [data-selects]:checked")) return;
  const page = await fragment(location.href);
  const fresh = page.querySelector("[data-live-page]");
  if (fresh && live.isConnected) await morph(live, fresh.outerHTML);
}

/** Morphing keeps focus, open folds and frames whose address is the same. */
export function morph(target, html) {
  const open = new Set([...target.querySelectorAll("details[open][id]")].map((details) => details.id));
  return window.htmx.swap({ text: html, target, swap: "outerMorph", sourceElement: target }).then(() => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  });
}
