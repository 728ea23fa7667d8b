// The new mail that floats above whatever else one does: opened by `c`, carried from page to page, made as wide as the
// page when it needs the room. On a narrow screen there is no room to float, and the full width is what opens.

import { toast } from "./toasts.js";
import { fragment, Refused } from "./request.js";
import { complain } from "./actions.js";
import { say } from "./words.js";

const OPEN = "dock";
const ROOM = "(min-width: 760px)";

function dock() {
  return document.getElementById("dock");
}

export function startDock() {
  if (!dock()) return;
  document.addEventListener("click", (event) => {
    const opener = event.target.closest('[data-command="compose"]');
    if (opener && window.matchMedia(ROOM).matches && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      event.stopImmediatePropagation();
      openDock();
    }
    const pressed = event.target.closest("[data-dock]")?.dataset.dock;
    if (pressed === "minimise") minimise(dock().dataset.state !== "small");
    else if (pressed === "widen") widen();
    else if (pressed === "close") closeDock();
    else if (dock().dataset.state === "small" && event.target.closest("#dock header")) minimise(false);
  }, true);
  dock().addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.stopPropagation();
    closeDock();
  });
  dock().addEventListener("input", title);
  dock().addEventListener("mail:sent", () => empty());
  dock().addEventListener("mail:draft", ({ detail }) => remember(detail.id));
  document.addEventListener("mail:compose", ({ detail }) => openDock(detail));
  const left = recallOpen();
  if (left && window.matchMedia(ROOM).matches && location.pathname !== new URL(dock().dataset.url, location.href).pathname) {
    openDock({ draft: left.draft, focus: false, small: left.small });
  }
}

/** Open it, with a draft where one is named. What is open already stays, and gets the focus. */
export async function openDock({ draft = "", focus = true, small = false } = {}) {
  const element = dock();
  if (element.querySelector("mail-composer")) {
    if (!draft) {
      minimise(false);
      if (focus) element.querySelector("mail-composer").begin("new");
      return;
    }
    await element.querySelector("mail-composer").keepOnServer();
  }
  try {
    const page = await fragment(`${element.dataset.url}?${new URLSearchParams({ in: "dock", ...(draft ? { draft } : {}) })}`);
    element.replaceChildren(...page.body.children);
  } catch (error) {
    remember("");
    if (focus) complain(error instanceof Refused ? error.status : 0);
    return;
  }
  element.hidden = false;
  remember(draft);
  minimise(small);
  title();
  if (focus) element.querySelector("mail-composer").begin("new");
}

function minimise(isSmall) {
  const element = dock();
  element.dataset.state = isSmall ? "small" : "open";
  element.querySelector('[data-dock="minimise"]')?.setAttribute("aria-expanded", String(!isSmall));
  const left = recallOpen();
  if (left) remember(left.draft, isSmall);
}

async function widen() {
  const composer = dock().querySelector("mail-composer");
  await composer.keepOnServer();
  const id = composer.draftId;
  empty();
  const url = id ? `${dock().dataset.url}?draft=${id}` : dock().dataset.url;
  window.htmx.ajax("GET", url, { target: "#reading", swap: "innerHTML", push: "true" });
}

async function closeDock() {
  const composer = dock().querySelector("mail-composer");
  const hadText = composer?.hasText;
  await composer?.keepOnServer();
  composer?.leave();
  empty();
  if (hadText) toast(say("kept_in_drafts"));
}

function empty() {
  const element = dock();
  element.hidden = true;
  element.replaceChildren();
  try {
    sessionStorage.removeItem(OPEN);
  } catch (error) {
    console.info("no storage:", error.message);
  }
}

function title() {
  const heading = dock().querySelector("header h2");
  if (!heading) return;
  heading.dataset.plain ??= heading.textContent.trim();
  heading.textContent = dock().querySelector('[name="subject"]')?.value.trim() || heading.dataset.plain;
}

/** For the next page in this tab. */
function remember(draft, small = dock().dataset.state === "small") {
  try {
    sessionStorage.setItem(OPEN, JSON.stringify({ draft: draft ?? "", small }));
  } catch (error) {
    console.info("the next page will not know:", error.message);
  }
}

function recallOpen() {
  try {
    return JSON.parse(sessionStorage.getItem(OPEN));
  } catch {
    return null; // no storage in this browser: it closes with the page
  }
}
