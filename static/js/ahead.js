// Reading ahead: the conversation that keys or the pointer rest on, and the next one, are fetched before they are opened,
// so that opening them waits for nobody. What is fetched is text that nobody parses: nothing in it is loaded, and only
// opening marks it read.
//
// What changes meanwhile is shown as it was and brought up to date at once, as any open conversation is.

import { refreshOpen } from "./reading.js";

// Someone who runs down the list looks at nothing yet.
const REST_MS = 80;
const KEPT = 8;
const KEEPS_MS = 60_000;

const fetched = new Map();
let timer = 0;
let changedAt = 0;

export function startAhead() {
  document.addEventListener("focusin", ({ target }) => rest(target.closest?.(".row > a")));
  document.addEventListener("pointerover", ({ target }) => rest(target.closest?.(".row > a")));
  document.addEventListener("mousedown", ({ target }) => {
    const link = target.closest?.(".row > a");
    if (link) fetchAhead(link);
  });
  document.addEventListener("mail:changed", () => { changedAt = performance.now(); });
  document.addEventListener("htmx:before:request", ({ detail }) => take(detail.ctx));
  document.addEventListener("htmx:after:swap", ({ detail }) => {
    if (detail.ctx.target?.id !== "reading") return;
    rest(document.querySelector("conversation-list .row > a[aria-current]"));
    if (detail.ctx.asOf < changedAt) refreshOpen();
  });
}

function rest(link) {
  if (!link) return;
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (!link.hasAttribute("aria-current")) fetchAhead(link);
    const next = link.closest(".row")?.nextElementSibling?.querySelector(":scope > a");
    if (next) fetchAhead(next);
  }, REST_MS);
}

function fetchAhead(link) {
  const url = link.getAttribute("hx-get");
  if (document.hidden || !navigator.onLine || isFresh(fetched.get(url))) return;
  const headers = { "HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "reading" };
  const one = { asOf: performance.now(), answer: fetch(url, { headers, priority: "low" }) };
  fetched.delete(url);
  fetched.set(url, one);
  // An answer that tells of an error is asked for again when it is wanted.
  const forget = () => fetched.get(url) === one && fetched.delete(url);
  one.answer.then((response) => response.ok || forget(), forget);
  for (const old of [...fetched.keys()].slice(0, -KEPT)) fetched.delete(old);
}

function isFresh(one) {
  return one !== undefined && performance.now() - one.asOf < KEEPS_MS;
}

/** What was fetched is from before something that nobody is told of. */
export function forgetAhead() {
  fetched.clear();
}

/** Let a request for a conversation have the answer that was fetched ahead. */
function take(ctx) {
  if (ctx.target?.id !== "reading" || ctx.request.method !== "GET") return;
  const url = ctx.request.action;
  const one = fetched.get(url);
  if (!isFresh(one)) return;
  fetched.delete(url);
  ctx.asOf = one.asOf;
  ctx.fetch = (_url, { signal }) => new Promise((resolve, reject) => {
    // Whoever has turned to another conversation meanwhile is not shown this one: htmx only shows what is "issuing".
    signal.addEventListener("abort", () => {
      ctx.status = "left";
      reject(signal.reason);
    });
    one.answer.then(resolve, reject);
  });
}
