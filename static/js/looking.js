// How one looks at a message: pictures from elsewhere, colours. The frame changes at once; the server remembers it.

import { complain } from "./actions.js";
import { forgetAhead } from "./ahead.js";
import { morph } from "./reading.js";
import { post, Refused, told } from "./request.js";
import { toast } from "./toasts.js";

export function startLooking() {
  document.addEventListener("submit", (event) => {
    if (event.target.dataset?.choice !== undefined) press(event.target, event.submitter);
    if (event.target.dataset?.look === undefined) return;
    event.preventDefault();
    look(event.target, event.submitter);
  });
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-preview]");
    const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
    const printer = event.target.closest("a[data-print]");
    if (printer && isPlain) {
      event.preventDefault();
      printer.closest("details.menu")?.removeAttribute("open");
      print(printer.href);
    }
    if (opener && isPlain) {
      event.preventDefault();
      openPreview(opener.dataset.preview);
    } else if (event.target.id === "preview") event.target.close(); // beside it
  });
  document.addEventListener("keydown", (event) => {
    const dialog = event.target.closest?.("#preview");
    const step = { ArrowLeft: "before", ArrowRight: "after" }[event.key];
    if (dialog && step) dialog.querySelector(`[data-preview-step="${step}"][data-preview]`)?.click();
  });
}

/** A file in a dialog, which is there at once and filled when the server has answered. */
async function openPreview(url) {
  const dialog = document.getElementById("preview");
  if (!dialog.open) {
    dialog.replaceChildren();
    dialog.showModal();
  }
  await window.htmx.ajax("GET", url, { target: "#preview", swap: "innerHTML" });
  dialog.querySelector(".preview-body")?.focus({ preventScroll: true });
}

/** The document stands on the content origin, in a frame that prints it and is not seen. The address is a fresh one. */
async function print(href) {
  try {
    const { url } = await told(href);
    const address = new URL(url);
    address.searchParams.set("now", "");
    const frame = document.createElement("iframe");
    frame.id = "printing";
    frame.tabIndex = -1;
    frame.setAttribute("aria-hidden", "true");
    frame.src = address;
    document.getElementById("printing")?.remove();
    document.body.append(frame);
  } catch (error) {
    complain(error instanceof Refused ? error.status : 0);
  }
}

/** One of several answers: the chosen one is pressed at once. What the server says comes by a refresh. */
function press(form, chosen) {
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === chosen));
}

async function look(form, chosen) {
  const body = form.closest(".body");
  // Those of the messages within it too: one choice holds for all.
  const frames = [...body.querySelectorAll("iframe.paper")];
  const was = frames.map((frame) => ({ src: frame.src, classes: frame.className }));
  for (const frame of frames) repaint(frame, chosen.name, chosen.value);
  body.dataset.looking = "";
  try {
    const answer = await post(form.action, new FormData(form, chosen));
    if (answer.sentence) toast(answer.sentence);
    forgetAhead(); // of other mails of a sender who is trusted now, or not any more
    delete body.dataset.looking;
    await morph(body, answer.html);
  } catch (error) {
    delete body.dataset.looking;
    for (const [at, frame] of frames.entries()) {
      frame.src = was[at].src;
      frame.className = was[at].classes;
    }
    complain(error instanceof Refused ? error.status : 0);
  }
}

/** The frame as the server will say it is: with the same address it is not loaded twice. */
function repaint(frame, name, value) {
  const url = new URL(frame.src);
  const query = new URLSearchParams();
  const pictures = name === "pictures" ? value !== "asked" : url.searchParams.has("pictures");
  const adapted = name === "colours" ? value === "adapted" : url.searchParams.has("colours");
  if (pictures) query.set("pictures", "shown");
  if (adapted) query.set("colours", "adapted");
  url.search = query;
  frame.classList.toggle("adapted", adapted);
  frame.src = url;
}
