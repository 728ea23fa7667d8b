// Requests outside htmx: changes that the page has already shown, and the composer's.

const TIMEOUT_MS = 30_000;

export class Refused extends Error {
  /** `status` is 0 when no answer came. */
  constructor(status, body) {
    super(`answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

/** POST and give the answer's JSON, or null for none. Throws Refused for anything but success. */
export async function post(url, body, { timeout = TIMEOUT_MS } = {}) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      body,
      headers: { "X-CSRFToken": csrfToken(), Accept: "application/json" },
      signal: AbortSignal.timeout(timeout),
    });
  } catch (error) {
    throw new Refused(0, { detail: error.message });
  }
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  const answer = isJson ? await response.json() : null;
  if (response.status === 401) {
    // The session is over. The draft stays in this browser and comes back after signing in.
    location.reload();
  }
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

/** Fetch a page's fragment as parsed HTML. Throws Refused. */
export async function fragment(url) {
  let response;
  try {
    response = await fetch(url, {
      headers: { "HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "refresh" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new Refused(0, { detail: error.message });
  }
  if (response.status === 401) location.reload();
  if (!response.ok) throw new Refused(response.status, null);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}
