// A composer's form as fields: read and filled, its lines of people, and what is said beside it.

import { say } from "./words.js";

const NOT_TYPED = new Set(["csrfmiddlewaretoken", "mends", "kept_file", "document", "draft", "seen", "send_at"]);
const SWITCHES = ["quotes", "signs"];
export const LINES = ["to", "cc", "bcc"];

/** To, Cc or Bcc of a form. */
export function line(form, name) {
  return form?.querySelector(`recipient-field[data-line="${name}"]`) ?? null;
}

export function reveal(form, name) {
  form.querySelector(`[data-line="${name}"]`).hidden = false;
  const revealer = form.querySelector(`[data-reveals="${name}"]`);
  if (revealer) revealer.hidden = true;
}

/** What is kept of it: text, and switches as "yes" and "no". */
export function fieldsOf(form) {
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && !NOT_TYPED.has(name)) fields[name] = value;
  }
  for (const name of SWITCHES) if (form.elements[name]) fields[name] = form.elements[name].checked ? "yes" : "no";
  return fields;
}

export function fillFields(form, fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = form.elements[name];
    if (!field || field.type === "submit") continue;
    if (field.tagName === "SELECT" && ![...field.options].some((option) => option.value === value)) continue;
    if (LINES.includes(name)) line(form, name).value = value;
    else if (field.type === "checkbox") field.checked = SWITCHES.includes(name) ? value !== "no" : true;
    else field.value = value;
    if ((name === "cc" || name === "bcc") && value) reveal(form, name);
  }
}

export function renewKey(form) {
  if (!form.elements.idempotency_key) return;
  form.elements.idempotency_key.value = crypto.randomUUID().replaceAll("-", "");
}

/** Where the draft stands: "Draft kept 14:02". */
export function tellStatus(form, sentence) {
  const status = form.querySelector("[data-kept]");
  if (status) status.textContent = sentence;
}

export function tellKept(form, time) {
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  tellStatus(form, say("kept", { time: clock.format(new Date(time)) }));
}

export function showDiscarder(form, isShown) {
  const button = form.querySelector("[data-discards]");
  if (button) button.hidden = !isShown;
}

/** `{field: reason}` at their fields; the first of them gets the focus. `editor` stands in for the text, if there is one. */
export function showErrors(form, errors, editor) {
  let first = null;
  for (const [name, reason] of Object.entries(errors)) {
    const place = form.querySelector(`[data-wrong="${CSS.escape(name)}"]`) ?? form.querySelector('[data-wrong=""]');
    place.querySelector("span").textContent = reason;
    place.hidden = false;
    if (name === "cc" || name === "bcc") reveal(form, name);
    const field = LINES.includes(name) ? line(form, name)?.input : form.elements[name];
    field?.setAttribute?.("aria-invalid", "true");
    if (name === "text" && editor) first ??= editor;
    else first ??= field?.focus ? field : place;
  }
  first?.focus();
}

export function clearErrors(form) {
  for (const place of form.querySelectorAll("[data-wrong]")) place.hidden = true;
  for (const field of form.querySelectorAll("input[aria-invalid], textarea[aria-invalid]")) field.removeAttribute("aria-invalid");
}
