/* The commitment of the log to a personal value (docs/formats.md, section 11). No DOM. */

const bytes = (text) => new TextEncoder().encode(text);

function unbase64url(text) {
  const plain = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

export async function commit({ salt, field, value }) {
  const raw = unbase64url(salt);
  if (raw.length !== 32) throw new Error('a salt has 32 bytes');
  const key = await crypto.subtle.importKey('raw', raw, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const message = Uint8Array.from([...bytes(field), 0, ...bytes(value)]);
  const digest = new Uint8Array(await crypto.subtle.sign('HMAC', key, message));
  const base64 = btoa(String.fromCharCode(...digest));
  return `c1.${base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`;
}
