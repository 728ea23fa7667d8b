// Shows what was pushed, and opens the conversation when it is pressed. Keeps no pages and no mail.

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

async function open(url) {
  const wanted = new URL(url, self.location.origin);
  if (wanted.origin !== self.location.origin) return;
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const [page] = pages;
  if (page) await (await page.navigate(wanted.href))?.focus();
  else await self.clients.openWindow(wanted.href);
}
