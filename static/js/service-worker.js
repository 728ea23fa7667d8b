// Shows what was pushed, and opens the conversation when it is pressed. Keeps no pages and no mail.

const ANSWER_WITHIN_MS = 500;

self.addEventListener("push", (event) => {
  const told = event.data?.json() ?? {};
  event.waitUntil(show(told));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data.url));
});

/** Whoever looks at the mail right now sees it there. */
async function show({ title = "", body = "", url = "/", tag = "" }) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const isSeen = pages.some((page) => page.focused);
  await self.registration.showNotification(title, { body, tag, silent: isSeen, data: { url } });
}

/** In a window that shows it already, or one that can be spared; in one of its own where every window is written in. */
async function open(url) {
  const wanted = new URL(url, self.location.origin);
  if (wanted.origin !== self.location.origin) return;
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = pages.find((page) => new URL(page.url).pathname === wanted.pathname);
  if (there) return void await there.focus();
  for (const page of pages) if (await goes(page, wanted.href)) return void await page.focus();
  await self.clients.openWindow(wanted.href);
}

/** Whether a window went there by itself (notifying.js). One that does not answer is left alone. */
function goes(page, url) {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    setTimeout(() => resolve(false), ANSWER_WITHIN_MS);
    port1.onmessage = ({ data }) => resolve(data);
    page.postMessage({ go: url }, [port2]);
  });
}
