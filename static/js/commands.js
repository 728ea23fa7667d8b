// The registry of commands. The server's table (apps/webmail/commands.py) says their words and their keys; here stands
// what they do, which for most is: press the page's own button of that name, so that both ways do the very same thing.
//
// Whoever wants a command for themselves (the list, for the rows that are ticked) listens for the event "command" and
// prevents its default.

import { currentList } from "./list.js";
import { backToList } from "./panes.js";
import { openConversation } from "./reading.js";

const element = document.getElementById("commands");
const { commands, single } = element ? JSON.parse(element.textContent) : { commands: [], single: false };
const byName = new Map(commands.map((command) => [command.name, command]));
const isMac = /mac|iphone|ipad/i.test(navigator.userAgentData?.platform ?? navigator.platform);
const CAPS = { Ctrl: isMac ? "⌘" : "Ctrl", Shift: "⇧", Enter: "↵" };

let singleKeys = single;

const DOES = {
  next: () => currentList()?.move(1),
  previous: () => currentList()?.move(-1),
  open: () => currentList()?.openCurrent(),
  back: () => backToList(),
  "done-next": () => doneAndOpen("nextElementSibling"),
  "done-previous": () => doneAndOpen("previousElementSibling"),
  reply: () => press("reply") || composer()?.begin("reply"),
  "reply-all": () => press("reply-all") || composer()?.begin("reply", { replyAll: true }),
  note: () => composer()?.begin("note"),
  send: () => sendWhatIsWritten(),
  search: () => document.querySelector("#search")?.focus(),
};
// What these need on the page, so that the palette offers nothing that would do nothing. All others need their button.
const NEEDS = {
  next: ".row", previous: ".row", open: ".row", back: "#conversation", select: ".row", snooze: ".row", label: ".row", read: ".row",
  "done-next": '#reading [data-command="done"]', "done-previous": '#reading [data-command="done"]',
  reply: "#conversation mail-composer", "reply-all": "#conversation mail-composer",
  note: '#conversation [data-kind="note"]', send: "mail-composer", search: "#search",
};

export function allCommands() {
  return commands;
}

/** Give a command something to do that only its own module can (help, the palette). */
export function define(name, work) {
  DOES[name] = work;
  NEEDS[name] = "body";
}

export function isAvailable(name) {
  return (NEEDS[name] ? document.querySelector(NEEDS[name]) : buttonOf(name)) !== null;
}

export function run(name) {
  const asked = new CustomEvent("command", { detail: { name }, cancelable: true });
  if (!document.dispatchEvent(asked)) return;
  if (DOES[name]) DOES[name]();
  else press(name);
}

/** The key as this person has it: "" for none, and for those that are switched off. */
export function keyOf(name) {
  const key = byName.get(name)?.key ?? "";
  return isHeard(name, key) ? key : "";
}

/** What is to be drawn on the keys: a list for each of the strokes that follow each other. */
export function capsOf(name) {
  const strokes = keyOf(name).split(" ").filter(Boolean);
  return strokes.map((stroke) => stroke.match(/(?:Ctrl|Shift)(?=\+)|[^+]+$|\+$/g).map((cap) => CAPS[cap] ?? cap));
}

/** The command of exactly these strokes, or null; and whether more strokes could make one. */
export function commandOf(strokes) {
  const typed = strokes.join(" ");
  const heard = commands.filter((command) => command.key && isHeard(command.name, command.key));
  return {
    name: heard.find((command) => command.key === typed)?.name ?? null,
    isBeginning: heard.some((command) => command.key.startsWith(`${typed} `)),
  };
}

export function areSingleKeysOn() {
  return singleKeys;
}

export function switchSingleKeys(on) {
  singleKeys = on;
  document.dispatchEvent(new CustomEvent("keys:changed"));
}

/** Help stays reachable by its key, or nobody would find the switch again. It can be given another key, or none. */
function isHeard(name, key) {
  return singleKeys || name === "help" || key.startsWith("Ctrl+");
}

function buttonOf(name) {
  const places = [`#reading [data-command="${name}"]`, `[data-command="${name}"]`];
  for (const place of places) {
    const found = [...document.querySelectorAll(place)].find((one) => !one.disabled && !one.closest("[hidden]"));
    if (found) return found;
  }
  return null;
}

function press(name) {
  const button = buttonOf(name);
  button?.click();
  return button !== null;
}

function composer() {
  return openConversation()?.querySelector("mail-composer") ?? null;
}

/** Handle the open conversation and open the one beside it in the list. */
function doneAndOpen(side) {
  const beside = currentList()?.currentRow?.[side]?.querySelector("a") ?? null;
  press("done");
  beside?.click();
}

/** The form that one writes in, or the only one there is. */
function sendWhatIsWritten() {
  const forms = [...document.querySelectorAll("mail-composer form:not([hidden])")];
  const form = document.activeElement?.closest("mail-composer form") ?? (forms.length === 1 ? forms[0] : null);
  form?.requestSubmit(form.querySelector("[data-main]"));
}
