// Where one was in a list: kept for as long as the tab lives, and found again by Back, by Forward and after a reload.
// Addresses, heights and ids are kept, never what mails say. Whoever comes by a link begins at the top.

const KEY = "place:";
const KEPT = 30;

let cameBack = ["reload", "back_forward"].includes(performance.getEntriesByType("navigation")[0]?.type);

addEventListener("popstate", () => {
  cameBack = true;
});

/** Whether the list that is built now is one to which somebody returns. Asked once for each. */
export function isReturn() {
  const answer = cameBack;
  cameBack = false;
  return answer;
}

export function keepPlace(list, pages, scroller) {
  const top = scroller.getBoundingClientRect().top;
  const row = [...list.querySelectorAll(".row:not(.leaving)")].find((one) => one.getBoundingClientRect().bottom > top);
  // A list that is out of sight (a narrow screen that shows a conversation) has no place to tell of.
  if (!row || !scroller.clientHeight) return;
  const place = {
    ...pages.describe(),
    page: pages.indexOf(row),
    row: row.id,
    offset: Math.round(row.getBoundingClientRect().top - top),
    focused: list.currentRow?.id ?? "",
    at: Date.now(),
  };
  try {
    sessionStorage.setItem(KEY + list.dataset.rowsUrl, JSON.stringify(place));
    forgetOldest();
  } catch (error) {
    console.info("the place in the list is not kept:", error.message);
  }
}

export async function findPlace(list, pages, scroller) {
  const place = read(list.dataset.rowsUrl);
  if (!place) return;
  await pages.layOut(place, place.page);
  const row = list.querySelector(`#${CSS.escape(place.row)}`);
  if (!row || !list.isConnected) return;
  // Twice: rows that were never drawn have a supposed height until they come into sight.
  for (let n = 0; n < 2; n += 1) {
    const moved = row.getBoundingClientRect().top - scroller.getBoundingClientRect().top - place.offset;
    scroller.scrollTop += moved;
    await new Promise((done) => requestAnimationFrame(done));
  }
  const focused = place.focused && list.querySelector(`#${CSS.escape(place.focused)} > a`);
  const isFree = document.activeElement === document.body || document.activeElement === null;
  if (focused && isFree && !document.getElementById("conversation")) focused.focus({ preventScroll: true });
}

function read(rowsUrl) {
  try {
    return JSON.parse(sessionStorage.getItem(KEY + rowsUrl) ?? "null");
  } catch {
    return null; // no storage in this browser, or somebody else's value
  }
}

function forgetOldest() {
  const keys = Object.keys(sessionStorage).filter((key) => key.startsWith(KEY));
  if (keys.length <= KEPT) return;
  const age = (key) => JSON.parse(sessionStorage.getItem(key)).at;
  sessionStorage.removeItem(keys.sort((a, b) => age(a) - age(b))[0]);
}
