/* Keeps static files only. Pages, cards and receipts always come from the server: an approval that was kept
   would be shown after it expired. Served at /sw.js. */
const SHELF = 'static-1';

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter((n) => n !== SHELF).map((n) => caches.delete(n)))));
});

self.addEventListener('fetch', (event) => {
  const address = new URL(event.request.url);
  const isOurs = address.origin === self.location.origin && address.pathname.startsWith('/static/');
  if (event.request.method === 'GET' && isOurs) event.respondWith(fresh(event.request));
});

/* The network first, so that a new release is seen at once; the shelf where the network fails. */
async function fresh(request) {
  const shelf = await caches.open(SHELF);
  try {
    const answer = await fetch(request);
    if (answer.ok) await shelf.put(request, answer.clone());
    return answer;
  } catch (trouble) {
    const kept = await shelf.match(request);
    if (kept) return kept;
    throw trouble;
  }
}
