// Things one does to a conversation. They show at once, the server is told, and a refusal is undone in plain sight.
//
// A form with data-act is such a thing: `leave` takes the conversation out of the list, `mark` changes its row, `tell`
// waits for the server and says what it said, with Undo where there is a way back.

import { currentList } from "./list.js";
import { refreshAll } from "./live.js";
import { backToList } from "./panes.js";
import { leaveUnread } from "./reading.js";
import { post, Refused } from "./request.js";
import { clearSelection } from "./selecting.js";
import { toast } from "./toasts.js";
import { say } from "./words.js";

// What is done to thousands of recipients may take a while.
const SLOW_TIMEOUT_MS = 120_000;

export function startActions() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset?.act || event.defaultPrevented) return;
    event.preventDefault();
    const body = new FormData(form, event.submitter);
    if (form.dataset.act === "leave") leave(form, body);
    else if (form.dataset.act === "tell") tell(form, body);
    else mark(form, body);
  });
  // A menu is left by Escape, and by pressing anywhere else.
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest?.("details.menu[open]");
    if (!open) return;
    open.removeAttribute("open");
    open.querySelector("summary").focus();
  });
  document.addEventListener("htmx:after:swap", ({ detail }) => {
    const dialog = detail.ctx.target;
    if (dialog?.id === "mover" && !dialog.open) dialog.showModal();
  });
  document.addEventListener("htmx:response:error", ({ detail }) => {
    const { status } = detail.ctx.response;
    // A page that is older than the session, or one without: what was pressed can be pressed again afterwards.
    if (status === 401 || status === 403) post("/session/", new URLSearchParams()).catch(({ status: again }) => complain(again));
    if (status !== 401) complain(status);
  });
  document.addEventListener("htmx:error", () => complain(0));
}

/** Say that something did not work, in words that fit the status. */
export function complain(status) {
  const key = status === 0 ? "unreachable" : status === 401 ? "signed_out" : status === 404 ? "gone" : status === 503 ? "unavailable" : "failed";
  toast(say(key), { tone: "bad" });
}

async function leave(form, body) {
  const list = currentList();
  // Read now: while the server answers, a refresh may morph this very form into the one that fits the new folder.
  const { thread, done, undo } = form.dataset;
  const url = form.action;
  const bringBack = list?.hideRow(thread) ?? (() => {});
  showNext(list);
  try {
    await post(url, body);
    toast(done, undo ? { action: { label: say("undo"), run: () => unleave({ url, thread, folder: undo }, bringBack) } } : {});
  } catch (error) {
    bringBack();
    complain(error instanceof Refused ? error.status : 0);
  }
}

async function unleave({ url, thread, folder }, bringBack) {
  bringBack();
  try {
    await post(url, new URLSearchParams({ folder }));
    currentList()?.await(thread);
  } catch (error) {
    complain(error instanceof Refused ? error.status : 0);
  }
}

/** After a conversation has left: the next one on a wide screen, the list on a narrow one. */
export function showNext(list) {
  const isOpen = document.getElementById("conversation");
  if (!isOpen) return;
  const next = list?.currentRow?.querySelector("a");
  const isNarrow = window.matchMedia("(max-width: 759px)").matches;
  if (next && !isNarrow) next.click();
  else {
    backToList();
    const placeholder = document.getElementById("nothing-open").content.cloneNode(true);
    document.getElementById("reading").replaceChildren(placeholder);
  }
}

async function tell(form, body) {
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  const { done } = form.dataset;
  try {
    const answer = await post(form.action, body, { timeout: SLOW_TIMEOUT_MS });
    form.closest("details.menu")?.removeAttribute("open");
    clearSelection(form);
    form.closest("dialog")?.close();
    const sentence = answer?.sentence || done;
    const undo = answer?.undo_url;
    if (sentence) toast(sentence, undo ? { action: { label: say("undo"), run: () => takeBack(undo) } } : {});
    follow(answer);
    refreshAll();
  } catch (error) {
    if (error.body?.detail) toast(error.body.detail, { tone: "bad" });
    else complain(error instanceof Refused ? error.status : 0);
    if (error.status === 409) refreshAll();
  } finally {
    form.ariaBusy = null;
  }
}

/** What is open may have gone elsewhere: show it there. */
function follow(answer) {
  if (answer?.moved) document.getElementById(`message-${answer.moved}`)?.remove();
  const open = document.getElementById("conversation");
  if (!answer?.left || open?.dataset.thread !== answer.left) return;
  window.htmx.ajax("GET", answer.next_url, { target: "#reading", swap: "innerHTML", push: "true" });
}

async function takeBack(url) {
  try {
    follow(await post(url, new URLSearchParams()));
  } catch (error) {
    complain(error instanceof Refused ? error.status : 0);
  }
  refreshAll();
}

async function mark(form, body) {
  const row = currentList()?.row(form.dataset.thread);
  const was = row?.classList.contains("unread");
  if (row && body.has("is_read")) row.classList.toggle("unread", body.get("is_read") === "0");
  if (form.dataset.done) toast(form.dataset.done);
  if (body.get("is_read") === "0") {
    leaveUnread();
    backToList();
  }
  try {
    await post(form.action, body);
  } catch (error) {
    row?.classList.toggle("unread", was);
    complain(error instanceof Refused ? error.status : 0);
  }
}
