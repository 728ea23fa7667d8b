// Boxes to tick in a list, and the buttons for all that are ticked. The boxes belong to the buttons' form by their
// `form` attribute, so without scripts they work as any form does.

export function startSelecting() {
  document.addEventListener("change", ({ target }) => {
    const form = target.form;
    if (target.matches("[data-selects-all]")) for (const box of boxes(form)) box.checked = target.checked;
    if (target.matches("[data-selects], [data-selects-all]")) show(form);
  });
}

/** After something was done to them: nothing is ticked. */
export function clearSelection(form) {
  if (!form.querySelector("[data-selects-all]")) return;
  for (const box of boxes(form)) box.checked = false;
  show(form);
}

function boxes(form) {
  return [...form.elements].filter((element) => element.matches("[data-selects]"));
}

function show(form) {
  const all = boxes(form);
  const ticked = all.filter((box) => box.checked).length;
  const master = form.querySelector("[data-selects-all]");
  master.checked = ticked > 0 && ticked === all.length;
  master.indeterminate = ticked > 0 && ticked < all.length;
  for (const button of form.querySelectorAll("button")) button.hidden = ticked === 0;
  form.querySelector("[data-selected]").textContent = ticked || "";
}
