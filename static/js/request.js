// Requests outside htmx: changes that the page has already shown, and the composer's.
//
// One that meets with the end of the session waits until the person has signed in again, and is then made once more.

import { goOn } from "./session.js";

const TIMEOUT_MS = 30_000;

let words = 0;

/** How often something was said to the server, or answered by it: what was fetched across a change of this is old. */
export function said() {
  return words;
}

export class Refused extends Error {
  /** `status` is 0 when no answer came. */
  constructor(status, body) {
    super(`answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

/**
 * POST and give the answer's JSON, or null for none. Throws Refused for anything but success. `isShown`: whether anything
 * but its own place shows what is said.
 */
export async function post(url, body, { timeout = TIMEOUT_MS, isAgain = false, isShown = true } = {}) {
  let response;
  if (isAgain && body?.has?.("csrfmiddlewaretoken")) body.set("csrfmiddlewaretoken", csrfToken());
  words += isShown;
  try {
    response = await fetch(url, {
      method: "POST",
      body,
      headers: { "X-CSRFToken": csrfToken(), Accept: "application/json" },
      signal: AbortSignal.timeout(timeout),
    });
  } catch (error) {
    throw new Refused(0, { detail: error.message });
  } finally {
    words += isShown;
  }
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  const answer = isJson ? await response.json() : null;
  if (!isAgain && isOver(response.status, answer)) {
    await returned(response.status, answer);
    return post(url, body, { timeout, isShown, isAgain: true });
  }
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

/** Whether an answer says that the session has ended, or is another one than the page knows. */
export function isOver(status, answer) {
  return status === 401 || answer?.code === "stale_form";
}

async function returned(status, answer) {
  try {
    await goOn(answer?.code === "stale_form" ? answer : {});
  } catch (error) {
    throw new Refused(status, { detail: error.message });
  }
}

export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

/** Fetch a page's fragment as parsed HTML. Throws Refused. */
export async function fragment(url) {
  const response = await get(url, { "HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "refresh" });
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

/** GET what is answered in JSON. Throws Refused. */
export async function told(url) {
  return (await get(url, { Accept: "application/json" })).json();
}

async function get(url, headers, isAgain = false) {
  let response;
  try {
    response = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    throw new Refused(0, { detail: error.message });
  }
  if (response.status === 401 && !isAgain) {
    await returned(401, null);
    return get(url, headers, true);
  }
  if (!response.ok) throw new Refused(response.status, null);
  return response;
}
