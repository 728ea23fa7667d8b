// Which pane a narrow screen shows, the drawer of mailboxes, menus that close, and the skeleton of a slow answer.

const SKELETON_AFTER_MS = 150;

export function shell() {
  return document.getElementById("shell");
}

/** `list` or `reading`. Wide screens show both and ignore it. */
export function showPane(name) {
  const element = shell();
  if (element) element.dataset.pane = name;
}

export function startPanes() {
  document.addEventListener("click", (event) => {
    toggleRail(event);
    closeMenus(event);
    goBack(event);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeAll();
  });
  drawSkeletons();
  document.addEventListener("htmx:after:swap", ({ detail }) => {
    const target = detail.ctx.target;
    if (target?.id === "reading") {
      showPane("reading");
      target.querySelector("h1")?.focus({ preventScroll: true });
    }
  });
}

/** Back to the list, without a request: it is still there. */
export function backToList() {
  const link = document.querySelector("[data-back]");
  if (!link || !document.getElementById("list")) return;
  history.pushState({ htmx: true }, "", link.getAttribute("href"));
  document.title = document.querySelector(".rail [aria-current] span")?.textContent ?? document.title;
  showPane("list");
  document.querySelector("conversation-list")?.closeConversation();
}

function goBack(event) {
  const link = event.target.closest("[data-back]");
  if (!link || !document.getElementById("list") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  backToList();
}

function toggleRail(event) {
  const opener = event.target.closest("[data-opens-rail]");
  const element = shell();
  if (opener) {
    element.dataset.rail = "open";
    document.querySelector("#rail a")?.focus();
  } else if (element?.dataset.rail === "open" && !event.target.closest("#rail")) {
    delete element.dataset.rail;
  }
}

function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || event.target.closest(".sheet button, .sheet a")) menu.open = false;
  }
}

function closeAll() {
  delete shell()?.dataset.rail;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
}

function drawSkeletons() {
  const timers = new WeakMap();
  // A narrow screen shows where the answer will be, and goes back to the list if none comes.
  const draw = (target) => {
    target.dataset.loading = "";
    target.ariaBusy = "true";
    if (shell()?.dataset.pane !== "list") return;
    target.dataset.shownEarly = "";
    showPane("reading");
  };
  for (const name of ["htmx:response:error", "htmx:error"]) {
    document.addEventListener(name, () => document.querySelector("#reading[data-shown-early]") && showPane("list"));
  }
  document.addEventListener("htmx:before:request", ({ detail }) => {
    const target = detail.ctx.target;
    if (target?.id !== "reading") return;
    clearTimeout(timers.get(target));
    timers.set(target, setTimeout(() => draw(target), SKELETON_AFTER_MS));
  });
  document.addEventListener("htmx:finally:request", ({ detail }) => {
    const target = detail.ctx.target;
    if (!target?.dataset) return;
    clearTimeout(timers.get(target));
    delete target.dataset.loading;
    delete target.dataset.shownEarly;
    target.ariaBusy = null;
  });
}
