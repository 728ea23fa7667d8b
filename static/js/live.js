// The live line: the server says which mailbox changed, and whoever shows it fetches anew.
//
// A notice may be lost, and what came between the page and its line had none, so everything on screen is also refreshed
// when the line opens (unless nothing changed since the page was asked for), when the page comes to the front, and once a
// minute. The state of the line is shown: silence must never look like "no mail".

import { post } from "./request.js";

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
const HEARTBEAT_MS = 25_000;
const ANSWER_WITHIN_MS = 8_000;
const REFRESH_EVERY_MS = 60_000;
const SIGNED_OUT = 4401;

let socket = null;
let hasHeard = false;
let failures = 0;
let retryTimer = 0;
let answerTimer = 0;

export function startLive() {
  if (!document.body.dataset.live) return;
  connect();
  setInterval(beat, HEARTBEAT_MS);
  setInterval(refreshAll, REFRESH_EVERY_MS);
  window.addEventListener("online", reconnectNow);
  document.addEventListener("session:renewed", reconnectNow);
  document.addEventListener("click", (event) => { if (event.target.closest("[data-signs-in]")) askForSession(); });
  window.addEventListener("offline", () => showState("offline"));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    if (socket?.readyState === WebSocket.OPEN) refreshAll();
    else reconnectNow();
  });
}

/** Say something to the server, if it hears; what is lost is said again with the next beat. */
export function tell(words) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(words));
}

/** Tell everything on screen that any mailbox may have changed. */
export function refreshAll() {
  if (!document.hidden) document.dispatchEvent(new CustomEvent("mail:changed", { detail: { mailbox: null, topic: null } }));
}

function connect() {
  clearTimeout(retryTimer);
  const opened = new WebSocket(new URL(document.body.dataset.live, location.href.replace(/^http/, "ws")));
  socket = opened;
  expectAnswer();
  opened.addEventListener("message", ({ data }) => hear(JSON.parse(data)));
  opened.addEventListener("close", ({ code }) => {
    if (opened === socket) retry(code);
  });
}

function hear(notice) {
  clearTimeout(answerTimer);
  if (notice.hello) {
    failures = 0;
    showState("live");
    if (!isNewest(notice.quiet_ms)) refreshAll();
    hasHeard = true;
    document.dispatchEvent(new CustomEvent("live:beat"));
  } else if (notice.present) {
    document.dispatchEvent(new CustomEvent("mail:present", { detail: notice }));
  } else if (notice.mailbox) {
    document.dispatchEvent(new CustomEvent("mail:changed", { detail: notice }));
  }
}

/** Whether this page was asked for after the last change. One out of a cache is older than its navigation. */
function isNewest(quietMs) {
  const [loading] = performance.getEntriesByType("navigation");
  return !hasHeard && loading?.transferSize > 0 && quietMs > performance.now();
}

function retry(code) {
  clearTimeout(answerTimer);
  if (code === SIGNED_OUT) {
    askForSession();
    return;
  }
  failures += 1;
  showState(navigator.onLine ? "reconnecting" : "offline");
  const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures, 10));
  // Jitter: a restarted server must not meet all its browsers in the same instant.
  retryTimer = setTimeout(connect, wait * (0.5 + Math.random() / 2));
}

/** Signing in again is asked for by the request itself; whoever would not yet is asked at what they do next. */
async function askForSession() {
  try {
    await post("/session/", new URLSearchParams());
    reconnectNow(); // unless signing in has done so
  } catch (error) {
    if (error.status === 401) showState("signed-out");
    else retry(0);
  }
}

function reconnectNow() {
  if (socket?.readyState === WebSocket.OPEN || socket?.readyState === WebSocket.CONNECTING) return;
  connect();
}

/** A line that died without a word (a laptop that slept) is found out by its silence. */
function beat() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  tell({ ping: true });
  document.dispatchEvent(new CustomEvent("live:beat"));
  expectAnswer();
}

function expectAnswer() {
  clearTimeout(answerTimer);
  answerTimer = setTimeout(() => {
    const dead = socket;
    socket = null;
    dead?.close();
    retry(0);
  }, ANSWER_WITHIN_MS);
}

function showState(state) {
  // One quick reconnect is not worth a word; a second failure is.
  if (state === "reconnecting" && failures < 2) return;
  document.body.dataset.connection = state;
  for (const words of document.querySelectorAll("#connection > [data-when]")) words.hidden = words.dataset.when !== state;
}
