// The picker of saved replies: typed into, moved through with arrows, put into the text with Enter.

import { say } from "./words.js";

/** Open it above `anchor`; `onTake(reply)` gets the chosen one, `onLeave()` hears that none was. */
export async function pickSavedReply(anchor, url, { onTake, onLeave }) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok) {
    onLeave();
    return;
  }
  const { replies } = await answer.json();
  const picker = document.getElementById("saved-reply-picker").content.cloneNode(true).firstElementChild;
  const input = picker.querySelector("input");
  const list = picker.querySelector("ul");
  let shown = [];
  let chosen = 0;
  const leave = () => {
    picker.remove();
    document.removeEventListener("mousedown", onAway, true);
  };
  const onAway = (event) => {
    if (picker.contains(event.target)) return;
    leave();
  };
  const take = (at) => {
    if (!shown[at]) return;
    leave();
    onTake(shown[at]);
  };
  const choose = (at) => {
    chosen = at;
    [...list.children].forEach((element, n) => element.setAttribute("aria-selected", String(n === at)));
    list.children[at]?.scrollIntoView({ block: "nearest" });
    if (shown.length) input.setAttribute("aria-activedescendant", `saved-reply-${at}`);
    else input.removeAttribute("aria-activedescendant");
  };
  const draw = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = replies.filter(({ name, snippet }) => words.every((word) => `${name} ${snippet}`.toLowerCase().includes(word)));
    list.replaceChildren(...shown.map(({ name, snippet }, n) => {
      const element = Object.assign(document.createElement("li"), { id: `saved-reply-${n}` });
      element.setAttribute("role", "option");
      element.append(Object.assign(document.createElement("b"), { textContent: name }));
      element.append(Object.assign(document.createElement("small"), { textContent: snippet }));
      return element;
    }));
    picker.querySelector("[data-none]").hidden = shown.length > 0;
    choose(0);
  };
  input.addEventListener("input", draw);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) choose((chosen + step + shown.length) % Math.max(1, shown.length));
    else if (event.key === "Enter") take(chosen);
    else if (event.key === "Escape") {
      leave();
      onLeave();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => take([...list.children].indexOf(event.target.closest("[role=option]"))));
  document.addEventListener("mousedown", onAway, true);
  anchor.append(picker);
  input.setAttribute("aria-label", say("saved_replies"));
  draw();
  input.focus();
}
