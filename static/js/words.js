// The words a script needs, translated by the server and left in the page.

const element = document.getElementById("words");
const words = element ? JSON.parse(element.textContent) : {};

/** The sentence named `key`, with {name} replaced by `values.name`. Counted ones have an entry for one and one for more. */
export function say(key, values = {}) {
  const entry = words[key];
  const sentence = Array.isArray(entry) ? entry[values.count === 1 ? 0 : 1] : entry;
  if (sentence === undefined) throw new Error(`no words for ${key}`);
  return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
