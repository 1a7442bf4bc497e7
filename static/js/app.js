/* Loads what every page uses. An element that only some pages use is loaded by those pages. */
import 'aims/elements/copy-text.js';
import 'aims/elements/list-keys.js';
import 'aims/elements/live-bell.js';
import 'aims/elements/relative-time.js';
import 'aims/elements/toast-note.js';
import { askInDialogs, supportInvokers } from 'aims/lib/invokers.js';

supportInvokers(document);
askInDialogs(document);

// Static files only; pages and approvals are never cached. Where there is no secure context there is no worker.
if ('serviceWorker' in navigator && window.isSecureContext) {
  const policy = window.trustedTypes?.createPolicy('aims', { createScriptURL: () => '/sw.js' });
  navigator.serviceWorker.register(policy ? policy.createScriptURL('') : '/sw.js').catch(() => {});
}
