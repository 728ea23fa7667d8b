// What tells of new mail outside the page: the figure in the title and on the application's icon, and Web Push.
//
// A subscription lasts as long as the session in which it was made, so a browser that has one says so once after
// each signing in.

import { post } from "./request.js";

const TOLD = "push:told";

export function startNotifying() {
  if (!document.body.dataset.live) {
    remember("");
    return;
  }
  navigator.serviceWorker?.addEventListener("message", goIfSpared);
  drawFigure();
  const rail = document.getElementById("rail");
  if (rail) new MutationObserver(drawFigure).observe(rail, { childList: true, subtree: true, characterData: true });
  new MutationObserver(drawFigure).observe(document.head, { childList: true, subtree: true, characterData: true });
  const card = document.getElementById("this-browser");
  if (card) startCard(card);
  else sayAgain();
  // The subscription ended with the session before.
  document.addEventListener("session:renewed", () => {
    remember("");
    sayAgain();
  });
}

/** A notification was pressed: go there, unless something is being written here that one would be led away from. */
function goIfSpared({ data, ports: [answer] }) {
  if (!data?.go) return;
  const isNeeded = document.querySelector("dialog[open]") !== null
    || [...document.querySelectorAll("mail-composer")].some((composer) => composer.isWritten);
  answer.postMessage(!isNeeded);
  if (!isNeeded) location.assign(data.go);
}

/** Unread conversations in the inboxes, as the rail counts them. */
function drawFigure() {
  let unread = 0;
  const inboxes = new Set();
  for (const figure of document.querySelectorAll('#rail [data-live^="unread-"], #rail [data-live^="inbox-"]')) {
    const mailbox = figure.dataset.live.replace(/^\w+-/, "");
    if (inboxes.has(mailbox)) continue;
    inboxes.add(mailbox);
    unread += Number.parseInt(figure.textContent, 10) || 0;
  }
  const plain = document.title.replace(/^\(\d+\) /, "");
  const wanted = unread ? `(${unread}) ${plain}` : plain;
  if (document.title !== wanted) document.title = wanted;
  if (unread) navigator.setAppBadge?.(unread).catch(() => {});
  else navigator.clearAppBadge?.().catch(() => {});
}

function isAble() {
  return "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
}

async function startCard(card) {
  card.addEventListener("click", ({ target }) => {
    const wanted = target.closest("[data-switch]")?.dataset.switch;
    if (wanted) (wanted === "on" ? switchOn(card) : switchOff(card)).catch((error) => {
      console.warn("notifications were not switched:", error.message);
      show(card, "failed");
    });
  });
  if (!isAble()) show(card, "unable");
  else if (Notification.permission === "denied") show(card, "denied");
  else show(card, (await subscription()) ? "on" : "off");
}

async function switchOn(card) {
  if ((await Notification.requestPermission()) !== "granted") {
    show(card, Notification.permission === "denied" ? "denied" : "off");
    return;
  }
  await navigator.serviceWorker.register("/service-worker.js", { scope: "/" });
  const registration = await navigator.serviceWorker.ready;
  const made = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: card.dataset.key });
  await post(card.dataset.subscribe, fieldsOf(made));
  show(card, "on");
}

async function switchOff(card) {
  const made = await subscription();
  if (made) {
    await post(card.dataset.unsubscribe, new URLSearchParams({ endpoint: made.endpoint }));
    await made.unsubscribe();
  }
  show(card, "off");
}

async function subscription() {
  const registration = await navigator.serviceWorker.getRegistration("/");
  return registration?.pushManager.getSubscription() ?? null;
}

async function sayAgain() {
  if (!isAble() || Notification.permission !== "granted" || recall() === document.body.dataset.person) return;
  remember(document.body.dataset.person);
  try {
    const made = await subscription();
    if (made) await post("/notifications/subscribe/", fieldsOf(made));
  } catch (error) {
    console.warn("this browser is not told of:", error.message);
  }
}

function fieldsOf(made) {
  const { endpoint, keys } = made.toJSON();
  return new URLSearchParams({ endpoint, ...keys });
}

function show(card, state) {
  for (const words of card.querySelectorAll("[data-state]")) words.hidden = words.dataset.state !== state;
  card.querySelector('[data-switch="on"]').hidden = !["off", "failed"].includes(state);
  card.querySelector('[data-switch="off"]').hidden = state !== "on";
}

function recall() {
  try {
    return sessionStorage.getItem(TOLD);
  } catch {
    return null; // no storage in this browser: it says so on every page
  }
}

function remember(person) {
  try {
    sessionStorage.setItem(TOLD, person);
  } catch {
    // as above
  }
}
