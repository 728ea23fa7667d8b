// The live line: the server says which mailbox changed, and whoever shows it fetches anew.
//
// A notice may be lost, so everything on screen is also refreshed when the line comes back, when the page comes to the
// front, and once a minute. The state of the line is shown: silence must never look like "no mail".

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
const HEARTBEAT_MS = 25_000;
const ANSWER_WITHIN_MS = 8_000;
const REFRESH_EVERY_MS = 60_000;
const SIGNED_OUT = 4401;

let socket = null;
let failures = 0;
let retryTimer = 0;
let answerTimer = 0;

export function startLive() {
  if (!document.body.dataset.live) return;
  connect();
  setInterval(beat, HEARTBEAT_MS);
  setInterval(refreshAll, REFRESH_EVERY_MS);
  window.addEventListener("online", reconnectNow);
  window.addEventListener("offline", () => showState("offline"));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    if (socket?.readyState === WebSocket.OPEN) refreshAll();
    else reconnectNow();
  });
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
    const wasAway = failures > 0;
    failures = 0;
    showState("live");
    if (wasAway) refreshAll();
  } else if (notice.mailbox) {
    document.dispatchEvent(new CustomEvent("mail:changed", { detail: notice }));
  }
}

function retry(code) {
  clearTimeout(answerTimer);
  if (code === SIGNED_OUT) {
    location.reload();
    return;
  }
  failures += 1;
  showState(navigator.onLine ? "reconnecting" : "offline");
  const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures, 10));
  // Jitter: a restarted server must not meet all its browsers in the same instant.
  retryTimer = setTimeout(connect, wait * (0.5 + Math.random() / 2));
}

function reconnectNow() {
  if (socket?.readyState === WebSocket.OPEN || socket?.readyState === WebSocket.CONNECTING) return;
  connect();
}

/** A line that died without a word (a laptop that slept) is found out by its silence. */
function beat() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ ping: true }));
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
}
