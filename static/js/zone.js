// Tells the server which clock the person looks at. Times are then right in the first byte and never jump.

export function startZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone) return;
  const wanted = `timezone=${zone.replace(/[^\w+/-]/g, "")}`;
  if (!document.cookie.split("; ").includes(wanted)) {
    document.cookie = `${wanted}; path=/; max-age=31536000; samesite=lax`;
  }
}
