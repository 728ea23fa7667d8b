// What has been typed and not been sent, kept in this browser so that nothing typed is ever lost.
//
// A draft belongs to a person and a place ("new", or an answer in one conversation). Files cannot be kept in storage;
// they stay in memory, so that Undo brings them back, and are gone after a reload.

const PREFIX = "draft:";
const files = new Map();

function keyOf(place) {
  return `${PREFIX}${document.body.dataset.person}:${place}`;
}

/** Keep a draft; false when this browser has no room or no storage. */
export function keep(place, fields) {
  try {
    localStorage.setItem(keyOf(place), JSON.stringify({ fields, keptAt: Date.now() }));
    return true;
  } catch (error) {
    console.warn("the draft is not kept:", error.message);
    return false;
  }
}

/** {fields, keptAt} or null. */
export function recall(place) {
  try {
    return JSON.parse(localStorage.getItem(keyOf(place)));
  } catch (error) {
    console.warn("the draft could not be read:", error.message);
    return null;
  }
}

export function forget(place) {
  try {
    localStorage.removeItem(keyOf(place));
  } catch (error) {
    console.warn("the draft could not be removed:", error.message);
  }
}

export function keepFiles(place, list) {
  files.set(place, list);
}

export function takeFiles(place) {
  const list = files.get(place) ?? [];
  files.delete(place);
  return list;
}
