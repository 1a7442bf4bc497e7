/* The proof of one entry, checked with WebCrypto alone. No DOM.
   Specs: RFC 9162 §2.1.3.2; C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy, tlog-proof. */
const ED25519 = 0x01;
export const COSIGNATURE = 0x04;
const MARK = '\u2014 ';
const encode = (text) => new TextEncoder().encode(text);

export class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/* Returns 'proven', 'witnessed' where the quorum of a policy cosigned too, or 'unsigned' where the browser has no
   Ed25519. Throws Refused: leaf, signature, cosignature or malformed. */
export async function checkEntry({ canon, proof, vkey, policy = '' }) {
  const { index, hashes, note } = parseProof(proof);
  const { text, origin, size, root, signatures } = parseCheckpoint(note);
  const computed = await rootFrom({ leaf: await leafHash(canon), index, size, hashes });
  if (!equal(computed, root)) throw new Refused('leaf');
  const key = await parseKey(vkey);
  if (origin !== key.name) throw new Refused('signature');
  const signed = await verifySignature({ text, signatures, key });
  if (signed === 'unsigned' || !policy.trim()) return signed;
  const trusted = await parsePolicy(policy);
  const cosigned = await cosigners({ text, signatures, witnesses: trusted.witnesses });
  return cosigned.size > 0 && isMet(trusted, trusted.quorum, cosigned) ? 'witnessed' : signed;
}

/* Reads what a quorum needs: witnesses, groups, quorum. The page's own server has checked the rest of the file. */
export async function parsePolicy(text) {
  const trusted = { witnesses: new Map(), groups: new Map(), quorum: 'none' };
  for (const line of text.split('\n')) {
    const [kind, name, ...rest] = line.split(/[ \t]+/).filter(Boolean);
    if (kind === 'witness') trusted.witnesses.set(name, await parseKey(rest[0], [COSIGNATURE]).catch(() => null));
    if (kind === 'group') {
      const members = rest.slice(1);
      const count = { any: 1, all: members.length }[rest[0]] ?? number(rest[0]);
      trusted.groups.set(name, { count, members });
    }
    if (kind === 'quorum') trusted.quorum = name;
  }
  return trusted;
}

function isMet(trusted, name, cosigned) {
  if (name === 'none') return true;
  const group = trusted.groups.get(name);
  if (!group) return cosigned.has(name);
  return group.members.filter((each) => isMet(trusted, each, cosigned)).length >= group.count;
}

/* Names of the witnesses whose cosignature holds; one that is known and does not is Refused. */
async function cosigners({ text, signatures, witnesses }) {
  const found = new Set();
  for (const [name, key] of witnesses) {
    for (const { signature } of signatures.filter((one) => key && one.name === key.name && one.id === key.id)) {
      const [message, raw, time] = cosigned(text, signature);
      const imported = await crypto.subtle.importKey('raw', key.raw, { name: 'Ed25519' }, false, ['verify']);
      const holds = time > 0n && await crypto.subtle.verify('Ed25519', imported, raw, message);
      if (!holds) throw new Refused('cosignature');
      found.add(name);
    }
  }
  return found;
}

/* What a witness signed: the time stands before the signature. Spec: C2SP tlog-cosignature. */
function cosigned(text, signature) {
  const time = signature.slice(0, 8).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  return [encode(`cosignature/v1\ntime ${time}\n${text}`), signature.slice(8), time];
}

export async function leafHash(text) {
  return sha256(join(Uint8Array.of(0), encode(text)));
}

/* Returns the root that a leaf and its proof lead to. Indexes stay below 2^53, so no bit operators. */
export async function rootFrom({ leaf, index, size, hashes }) {
  if (index >= size) throw new Refused('leaf');
  let [at, last, hash] = [index, size - 1, leaf];
  for (const sibling of hashes) {
    if (last === 0) throw new Refused('leaf');
    if (at % 2 === 1 || at === last) {
      hash = await nodeHash(sibling, hash);
      while (at !== 0 && at % 2 === 0) [at, last] = [half(at), half(last)];
    } else {
      hash = await nodeHash(hash, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  if (last !== 0) throw new Refused('leaf');
  return hash;
}

export function parseProof(proof) {
  const cut = proof.indexOf('\n\n');
  const lines = proof.slice(0, cut).split('\n');
  if (cut < 0 || lines.shift() !== 'c2sp.org/tlog-proof@v1') throw new Refused('malformed');
  if (lines[0]?.startsWith('extra ')) lines.shift();
  const index = number(lines.shift()?.match(/^index (.+)$/)?.[1]);
  return { index, hashes: lines.map(hash32), note: proof.slice(cut + 2) };
}

export function parseCheckpoint(note) {
  const cut = note.lastIndexOf('\n\n');
  if (cut < 0 || !note.endsWith('\n')) throw new Refused('malformed');
  const text = note.slice(0, cut + 1);
  const [origin, size, root] = text.split('\n');
  const signatures = note.slice(cut + 2, -1).split('\n').map(parseSignature);
  return { text, origin, size: number(size), root: hash32(root), signatures };
}

export async function parseKey(vkey, kinds = [ED25519]) {
  const parts = vkey.split('+');
  const [name, id] = parts;
  const raw = bytes(parts.slice(2).join('+'));
  if (raw.length !== 33 || !kinds.includes(raw[0])) throw new Refused('malformed');
  const hashed = await sha256(join(encode(`${name}\n`), raw));
  if (hex(hashed.slice(0, 4)) !== id) throw new Refused('malformed');
  if (!name) throw new Refused('malformed');
  return { name, id, kind: raw[0], raw: raw.slice(1) };
}

export async function verifySignature({ text, signatures, key }) {
  const ours = signatures.filter(({ name, id }) => name === key.name && id === key.id);
  if (ours.length === 0) throw new Refused('signature');
  let imported;
  try {
    imported = await crypto.subtle.importKey('raw', key.raw, { name: 'Ed25519' }, false, ['verify']);
  } catch {
    return 'unsigned';
  }
  for (const { signature } of ours) {
    const [message, raw] = key.kind === COSIGNATURE ? cosigned(text, signature) : [encode(text), signature];
    if (!await crypto.subtle.verify('Ed25519', imported, raw, message)) throw new Refused('signature');
  }
  return 'proven';
}

function parseSignature(line) {
  const [name, encoded, more] = line.slice(MARK.length).split(' ');
  if (!line.startsWith(MARK) || !encoded || more !== undefined) throw new Refused('malformed');
  const raw = bytes(encoded);
  return { name, id: hex(raw.slice(0, 4)), signature: raw.slice(4) };
}

async function sha256(raw) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', raw));
}

function nodeHash(left, right) {
  return sha256(join(Uint8Array.of(1), left, right));
}

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function number(text) {
  if (!/^(0|[1-9]\d{0,15})$/.test(text ?? '')) throw new Refused('malformed');
  return Number(text);
}

function hash32(text) {
  const raw = bytes(text);
  if (raw.length !== 32) throw new Refused('malformed');
  return raw;
}

function bytes(text) {
  let raw;
  try {
    raw = atob(text);
  } catch {
    throw new Refused('malformed');
  }
  if (btoa(raw) !== text) throw new Refused('malformed'); // one spelling only
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

const half = (value) => Math.floor(value / 2);
const hex = (raw) => [...raw].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const equal = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);
