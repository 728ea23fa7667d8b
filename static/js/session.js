// The session has ended elsewhere: signed out in another tab, by an admin, or by time. Nothing on the page is taken
// away: one signs in again in a dialog, and what was asked for meanwhile goes on.
//
// Signing in makes a new token for forms, so a page that is older than the session is refused. It goes on with the new
// token if the same person has signed in; another person's page is loaded anew, before anything is done in their name.

let returning = null;

/** Go on with what the server said of the session; resolves when the same person is signed in again. */
export async function goOn({ person, csrf } = {}) {
  if (person && person !== document.body.dataset.person) {
    location.reload();
    await new Promise(() => {}); // nothing of this page goes on
  } else if (person) renew(csrf);
  else {
    if (csrf) renew(csrf);
    returning ??= signIn().finally(() => { returning = null; });
    await returning;
  }
}

function renew(token) {
  const meta = document.querySelector('meta[name="csrf-token"]');
  if (meta) meta.content = token;
  for (const field of document.querySelectorAll('input[name="csrfmiddlewaretoken"]')) field.value = token;
}

function signIn() {
  const dialog = document.getElementById("signed-out");
  if (!dialog) {
    location.reload();
    return new Promise(() => {});
  }
  const form = dialog.querySelector("form");
  const problem = form.querySelector("[role=alert]");
  problem.hidden = true;
  dialog.showModal();
  return new Promise((resolve, reject) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const answer = await ask(form);
      if (answer.person) {
        dialog.onclose = null;
        form.reset();
        dialog.close();
        resolve(goOn(answer));
        document.dispatchEvent(new CustomEvent("session:renewed"));
        return;
      }
      problem.querySelector("span").textContent = answer.detail;
      problem.hidden = false;
      form.elements.password.select();
    };
    dialog.onclose = () => reject(new Error("the person did not sign in again"));
  });
}

/** Sign in; with the token that the server gives instead of one that is too old. */
async function ask(form, isAgain = false) {
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
    const answer = await response.json();
    if (answer.code !== "stale_form" || isAgain) return response.ok ? answer : { detail: answer.detail };
    if (answer.person) return answer;
    renew(answer.csrf);
    return await ask(form, true);
  } catch (error) {
    console.info("signing in did not get through:", error.message);
    return { detail: form.dataset.unreachable };
  }
}
