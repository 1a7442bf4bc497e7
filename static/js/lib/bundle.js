/* An export of the log, checked with nothing but the browser. No DOM, no network. The same rules, and the same words for
   what is wrong, as audit/exports/aims_verify.py; docs/formats.md, "Exports". */
import { Refused } from 'aims/lib/merkle.js';
import { Unusable, checkCheckpoint, readTrust } from 'aims/lib/trust.js';
import { Damaged, openZip, unpacked } from 'aims/lib/zip.js';

const SMALL_MAX_BYTES = 1024 * 1024; // of manifest and checkpoint
const LINE_MAX_BYTES = 65535;
const BATCH = 512; // lines that are hashed side by side
const HEX32 = /^[0-9a-f]{64}$/;
const LEAF = /^(0|[1-9][0-9]{0,14}) ([0-9a-f]{64})$/;
const LATER = /\/g[1-9][0-9]*$/;

class Wrong extends Error {}

/* Returns {result, said, why}: result is good, unsigned, own-key, gaps or bad. vkeys: one key a line, or empty. policy: a
   C2SP tlog-policy, or empty. file: a Blob. onProgress: called with a share of 1. */
export async function checkBundle({ file, vkeys, policy = '', onProgress = () => {} }) {
  try {
    const trust = await readTrust({ vkeys, policy });
    return await verified(new Bundle(file, await openZip(file)), trust, onProgress);
  } catch (error) {
    const isTold = [Wrong, Refused, Damaged, Unusable].some((kind) => error instanceof kind);
    if (isTold) return { result: 'bad', said: [], why: error.message };
    return { result: 'bad', said: [], why: `it can't be read: ${error.message}` };
  }
}

async function verified(bundle, trust, onProgress) {
  const manifest = parseManifest(await bundle.text('manifest.json'), bundle);
  bundle.claimed = manifest.files;
  const said = [];
  let gaps = 0;
  let lines = 0;
  const total = manifest.sets.reduce((sum, set) => sum + set.rows, 0) || 1;
  for (const set of manifest.sets) {
    said.push(await checkSet(bundle, trust, set, (done) => onProgress((lines + done) / total)));
    gaps += set.gaps.length;
    lines += set.rows;
  }
  for (const name of Object.keys(manifest.files)) if (!bundle.seen.has(name)) await bundle.bytes(name);
  const other = [...bundle.others][0];
  if (other) throw new Wrong(`${other}: another file than the manifest's`);
  const result = !trust.isChecked ? 'unsigned' : trust.isOwn ? 'own-key' : gaps ? 'gaps' : 'good';
  const cosigned = trust.quorum === 'none' ? '' : ` · ${trust.quorum} ✔`;
  return { result, said: [...said, ...[...bundle.heads.values()].map(({ origin }) => origin + cosigned)], why: '' };
}

async function checkSet(bundle, trust, set, onProgress) {
  const leaves = await leavesOf(bundle, set, onProgress);
  let at = set.first;
  let row = 0;
  for (const part of set.parts) {
    const { size, root } = await headOf(bundle, trust, part);
    const fits = part.tree_size === size && part.base <= part.first && part.first <= part.end && part.end <= part.base + size;
    if (!fits) throw new Wrong(`manifest.json: a part of ${set.name} does not fit its checkpoint`);
    if (part.base && !LATER.test(part.origin)) throw new Wrong('manifest.json: the first generation of a log counts from 0');
    cross(set, at, part.first);
    const own = leaves.slice(row, row + part.rows);
    inOrder(set, part, own);
    const hashes = linesOf(await bundle.bytes(part.proof), part.proof).map((line, number) => {
      if (!HEX32.test(ascii(line))) throw new Wrong(`${part.proof} line ${number + 1}: not a hash`);
      return unhex(ascii(line));
    });
    const rebuilt = await rootFrom(own.map(({ index, leaf }) => ({ place: index - part.base, leaf })), size, hashes, part.proof);
    if (!same(rebuilt, root)) throw new Wrong(`${set.leaves}: with ${part.proof} it does not lead to the signed root of ${part.checkpoint}`);
    at = part.end;
    row += part.rows;
  }
  cross(set, at, set.end);
  if (row !== leaves.length) throw new Wrong(`${set.data}: more lines than the manifest has rows`);
  return `${set.data}: ${set.rows} [${set.first}, ${set.end}) ${set.completeness === 'proven' ? '✔' : '–'}`;
}

/* Returns index and leaf hash of each line, once every line is its leaf's. */
async function leavesOf(bundle, set, onProgress) {
  const spelled = linesOf(await bundle.bytes(set.leaves), set.leaves).map((line, number) => {
    const found = LEAF.exec(ascii(line));
    if (!found) throw new Wrong(`${set.leaves} line ${number + 1}: not an index and a hash`);
    return { index: Number(found[1]), claimed: found[2] };
  });
  const lines = linesOf(await bundle.bytes(set.data), set.data);
  for (let start = 0; start < Math.max(lines.length, spelled.length); start += BATCH) {
    const hashed = await Promise.all(lines.slice(start, start + BATCH).map((line) => sha256(0, line)));
    for (let number = start; number < Math.min(start + BATCH, Math.max(lines.length, spelled.length)); number += 1) {
      const where = `${set.data} line ${number + 1}`;
      if (number >= spelled.length) throw new Wrong(`${where}: too much; no leaf belongs to it`);
      const { index, claimed } = spelled[number];
      if (number >= lines.length) throw new Wrong(`${where}: missing; entry ${index} should stand there`);
      if (hex(hashed[number - start]) !== claimed) throw new Wrong(`${where}: changed; these are not the bytes of entry ${index}`);
      if (!isCanonical(lines[number])) throw new Wrong(`${where}: not canonical JSON`);
    }
    onProgress(start);
  }
  return spelled.map(({ index, claimed }) => ({ index, leaf: unhex(claimed) }));
}

function inOrder(set, part, leaves) {
  const isWhole = set.completeness === 'proven';
  let before = part.first - 1;
  if (leaves.length !== part.rows) throw new Wrong(`${set.leaves}: fewer lines than the manifest has rows`);
  for (const { index } of leaves) {
    const isWrong = index <= before || index >= part.end || (isWhole && index !== before + 1);
    if (isWrong) throw new Wrong(`${set.leaves}: after entry ${before} comes ${index}: left out, twice, or out of order`);
    before = index;
  }
  if (isWhole && before !== part.end - 1) throw new Wrong(`${set.leaves}: the range ends at entry ${before}`);
}

function cross(set, at, to) {
  while (at !== to) {
    const gap = set.gaps.find(({ first, end }) => first === at && end > at);
    if (!gap) throw new Wrong(`manifest.json: the parts of ${set.name} leave a hole that it does not name`);
    at = gap.end;
  }
}

/* Returns the root of a tree, rebuilt from some of its leaves and a proof, from left to right. */
async function rootFrom(leaves, size, hashes, name) {
  let [leaf, hash] = [0, 0];
  const node = async (start, end) => {
    if (leaf === leaves.length || leaves[leaf].place >= end) {
      if (hash === hashes.length) throw new Wrong(`${name}: too short`);
      return hashes[hash++];
    }
    if (end - start === 1) return leaves[leaf++].leaf;
    let half = 1;
    while (half * 2 < end - start) half *= 2;
    const left = await node(start, start + half);
    return sha256(1, left, await node(start + half, end));
  };
  const root = size ? await node(0, size) : new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array()));
  if (leaf !== leaves.length || hash !== hashes.length) throw new Wrong(`${name}: too long`);
  return root;
}

/* Returns size and root of a part's checkpoint, looked at once. */
async function headOf(bundle, trust, part) {
  const place = `${part.checkpoint}\n${part.origin}`;
  if (!bundle.heads.has(place)) {
    const note = await bundle.text(part.checkpoint);
    bundle.heads.set(place, await checkCheckpoint(trust, { name: part.checkpoint, note, origin: part.origin, own: part.vkey }));
  }
  return bundle.heads.get(place);
}

function parseManifest(text, bundle) {
  const manifest = strict(text);
  const numbers = (value, ...names) => names.every((name) => Number.isSafeInteger(value[name]) && value[name] >= 0);
  const strings = (value, ...names) => names.every((name) => typeof value[name] === 'string');
  const partIs = (part) => numbers(part, 'base', 'first', 'end', 'rows', 'tree_size') && strings(part, 'origin', 'vkey', 'checkpoint', 'proof');
  const setIs = (set) => numbers(set, 'rows', 'first', 'end') && strings(set, 'name', 'data', 'leaves', 'completeness')
    && set.parts.every(partIs) && set.gaps.every((gap) => numbers(gap, 'first', 'end') && strings(gap, 'reason'))
    && set.parts.reduce((sum, part) => sum + part.rows, 0) === set.rows;
  const filesAre = Object.values(manifest.files ?? {}).every((claim) => strings(claim, 'sha256') && numbers(claim, 'size_bytes'));
  const isNamed = strings(manifest, 'export', 'product', 'finished_at') && !Array.isArray(manifest.files);
  if (!isNamed || manifest.typ !== 'aims-audit-export' || manifest.v !== 1 || !manifest.sets?.length || !filesAre || !manifest.sets.every(setIs)) {
    throw new Wrong('manifest.json: not an export of version 1');
  }
  const listed = new Set([...Object.keys(manifest.files), 'manifest.json']);
  for (const name of bundle.names()) if (!listed.has(name)) throw new Wrong(`${name}: not in the manifest`);
  for (const name of listed) if (!bundle.has(name)) throw new Wrong(`${name}: missing`);
  return manifest;
}

/* Returns what JSON says that has no member twice and no fraction: either would be read in two ways. */
function strict(text) {
  const value = JSON.parse(text);
  let named = 0;
  const rest = text.replace(/"(?:[^"\\]|\\.)*"(\s*:)?/g, (_, colon) => {
    named += colon ? 1 : 0;
    return '';
  });
  if (named !== members(value)) throw new Wrong('manifest.json: can\'t be read: a member twice');
  if (/[0-9][.eE]/.test(rest)) throw new Wrong('manifest.json: can\'t be read: a fraction');
  return value;
}

function members(value) {
  if (value === null || typeof value !== 'object') return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce((sum, each) => sum + members(each), own);
}

/* RFC 8785 for JSON without fractions: the keys of the log are ASCII, so code units sort as they should. */
function isCanonical(raw) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
    return spell(JSON.parse(text)) === text;
  } catch {
    return false;
  }
}

function spell(value) {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new Wrong('a fraction, or a number too large');
  if (typeof value === 'string') encodeURIComponent(value); // throws at half a letter, which has no bytes
  if (Array.isArray(value)) return `[${value.map(spell).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${spell(value[key])}`).join(',')}}`;
}

class Bundle {
  constructor(file, entries) {
    this.file = file;
    this.entries = entries;
    this.claimed = null;
    this.seen = new Set();
    this.others = new Set();
    this.heads = new Map();
  }

  names() { return this.entries.keys(); }

  has(name) { return this.entries.has(name); }

  async text(name) {
    if (this.entries.get(name)?.size > SMALL_MAX_BYTES) throw new Wrong(`${name}: larger than 1,048,576 bytes`);
    const raw = await this.bytes(name);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
    } catch {
      throw new Wrong(`${name}: not UTF-8`);
    }
  }

  /* Returns a file whole; notes where it is not the one in the manifest, to be said last. */
  async bytes(name) {
    const entry = this.entries.get(name);
    if (!entry || (this.claimed && !this.claimed[name])) throw new Wrong(`${name} is missing`);
    const claim = this.claimed?.[name];
    const { raw, isSound } = await unpacked(this.file, entry);
    if (claim && (claim.size_bytes !== raw.length || claim.sha256 !== hex(await sha256(null, raw)))) this.others.add(name);
    else if (!isSound) throw new Wrong(`${name}: the zip is damaged: CRC-32`); // nothing else vouches for the manifest's own bytes
    this.seen.add(name);
    return raw;
  }
}

function linesOf(raw, name) {
  const lines = [];
  let start = 0;
  for (let end = raw.indexOf(10); end >= 0; end = raw.indexOf(10, start)) {
    if (end - start > LINE_MAX_BYTES) throw new Wrong(`${name} line ${lines.length + 1}: longer than 65,535 bytes`);
    lines.push(raw.subarray(start, end));
    start = end + 1;
  }
  if (start !== raw.length) throw new Wrong(`${name} line ${lines.length + 1}: cut off, it has no end`);
  return lines;
}

/* tag: the byte before what is hashed, or null. */
async function sha256(tag, ...parts) {
  const raw = new Uint8Array(parts.reduce((sum, part) => sum + part.length, tag === null ? 0 : 1));
  let at = 0;
  if (tag !== null) raw[at++] = tag;
  for (const part of parts) {
    raw.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', raw));
}

const ascii = (raw) => String.fromCharCode(...raw);
const hex = (raw) => [...raw].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const unhex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);
