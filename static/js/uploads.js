// Files on their way to the server: in pieces, each from where the last one ended, so that a line that drops costs one
// piece and not the file. Much as in tus 1.0: POST announces, PATCH brings, HEAD asks how far it got.

import { csrfToken, isOver, post, Refused } from "./request.js";

const PIECE_BYTES = 1024 * 1024;
const TRIES = 6;
const FIRST_PAUSE_MS = 500;
// A piece over the slowest line that anybody works on; what takes longer hangs.
const PIECE_WITHIN_MS = 120_000;

/** Bring `file` to `base` (a draft's address). `onProgress(share)` from 0 to 1. Resolves to what the server tells of it. */
export async function upload(file, { base, id, inline, onProgress, signal }) {
  const announced = { id, filename: file.name, content_type: file.type, size_bytes: file.size, inline };
  let told = await insist(() => ask("POST", `${base}files/`, { body: JSON.stringify(announced), signal }), signal);
  let offset = Number(told.received_bytes);
  while (!told.is_whole) {
    const from = offset;
    told = await insist(() => bring(told.url, file, from, signal), signal).catch((error) => {
      if (error.status !== 409) throw error;
      return { ...told, received_bytes: error.body.received_bytes, is_whole: false };
    });
    offset = Number(told.received_bytes);
    onProgress?.(offset / file.size);
  }
  return told;
}

export function removeUpload(url) {
  return ask("DELETE", url, {});
}

/** A picture's bytes as an address in memory: the page's own origin serves no file that a browser would open. */
export async function pictureFrom(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Refused(response.status, null);
  return URL.createObjectURL(await response.blob());
}

function bring(url, file, offset, signal) {
  const body = file.slice(offset, offset + PIECE_BYTES);
  return ask("PATCH", url, { body, signal, headers: { "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" } });
}

async function ask(method, url, { body, signal, headers = {} }) {
  let response;
  const within = AbortSignal.timeout(PIECE_WITHIN_MS);
  try {
    response = await fetch(url, { method, body, signal: signal ? either(signal, within) : within, headers: { "X-CSRFToken": csrfToken(), Accept: "application/json", ...headers } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, { detail: error.message });
  }
  const answer = response.headers.get("content-type")?.startsWith("application/json") ? await response.json() : null;
  if (isOver(response.status, answer)) {
    await post("/session/", new URLSearchParams());
    throw new Refused(503, answer); // and what was begun is tried again
  }
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

/** One signal of two (AbortSignal.any, which Firefox has had since 124 only). */
function either(...signals) {
  const both = new AbortController();
  for (const one of signals) {
    if (one.aborted) both.abort(one.reason);
    one.addEventListener("abort", () => both.abort(one.reason), { once: true });
  }
  return both.signal;
}

/** Whether it was the line or the server that failed, and not what was asked. */
export function mayTryAgain(error) {
  return error instanceof Refused && (error.status === 0 || error.status >= 500);
}

/** Again after a pause, while trying again may help. */
async function insist(run, signal) {
  for (let n = 1; ; n += 1) {
    try {
      return await run();
    } catch (error) {
      if (!mayTryAgain(error) || n === TRIES || signal?.aborted) throw error;
      await new Promise((resolve) => { setTimeout(resolve, FIRST_PAUSE_MS * 2 ** n); });
    }
  }
}
