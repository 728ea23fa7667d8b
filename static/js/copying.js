// Buttons that copy what stands beside them: data-copy names the element by its id.

import { toast } from "./toasts.js";
import { say } from "./words.js";

export function startCopying() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      toast(say("copied"));
    } catch {
      // No clipboard without HTTPS or permission: mark the text, so that the keyboard can copy it.
      source.closest("details")?.setAttribute("open", "");
      getSelection().selectAllChildren(source);
      toast(say("marked"));
    }
  });
}
