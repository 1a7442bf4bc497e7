/* A zip read without unpacking it: names are flat, sizes are known before anything unfolds, and what other programs could
   read in another way is refused. No DOM, no network. APPNOTE 6.3, as much of it as exports use; the same refusals as
   audit/exports/aims_verify.py. */

const FILES_MAX = 200;
const FILE_MAX_BYTES = 512 * 1024 * 1024; // WebCrypto hashes a file only whole
const DIRECTORY_MAX_BYTES = 1024 * 1024;
const PLAIN_FLAGS = 0x080e; // how hard it was deflated, sizes behind the file, names in UTF-8: not encrypted, not patched
const VERSION_MAX = 63; // 6.3
const [STORED, DEFLATED] = [0, 8];
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export class Damaged extends Error {}

/* Returns the files by name; none was read yet. file: a Blob. Throws Damaged. */
export async function openZip(file) {
  const { count, length, start } = await endOf(file);
  if (count > FILES_MAX || length > DIRECTORY_MAX_BYTES) throw new Damaged(`more than ${FILES_MAX} files`);
  const directory = await view(file, start, start + length);
  const entries = new Map();
  let place = 0;
  for (let number = 0; number < count; number += 1) {
    if (place + 46 > length || directory.getUint32(place, true) !== 0x02014b50) throw new Damaged('the zip is damaged');
    const entry = entryAt(directory, place);
    refuse(entry, entries, file);
    entries.set(entry.name, entry);
    place += entry.length;
  }
  if (place !== length) throw new Damaged('the zip is damaged'); // another program would read on
  return entries;
}

/* Returns a file's bytes, and whether they have the CRC-32 that the zip says. Throws Damaged where its place names another file. */
export async function unpacked(file, entry) {
  const { name, offset, packed, method } = entry;
  const head = await view(file, offset, offset + 30, name);
  if (head.getUint32(0, true) !== 0x04034b50) throw new Damaged(`${name}: the zip is damaged`);
  const [named, more] = [head.getUint16(26, true), head.getUint16(28, true)];
  const said = ascii(await view(file, offset + 30, offset + 30 + named, name));
  if (said !== name || head.getUint16(8, true) !== method) throw new Damaged(`${name}: the zip names another file at its place`);
  const start = offset + 30 + named + more;
  if (start + packed > file.size) throw new Damaged(`${name}: the zip is damaged`);
  const raw = await unfolded(file.slice(start, start + packed), entry);
  return { raw, isSound: crc32(raw) === entry.crc };
}

function refuse({ name, flags, method, version, size, offset }, entries, file) {
  if (!NAME.test(name)) throw new Damaged(`a file name that leads elsewhere: ${name}`);
  if (entries.has(name)) throw new Damaged('two files of one name in the zip');
  if (version > VERSION_MAX) throw new Damaged(`${name}: it needs a newer kind of zip than is known here`);
  if (flags & ~PLAIN_FLAGS || ![STORED, DEFLATED].includes(method)) {
    throw new Damaged(`${name}: encrypted, or compressed in another way than deflate`);
  }
  if (offset >= file.size) throw new Damaged(`${name}: the zip is damaged: nothing stands where the file should`);
  if (size > FILE_MAX_BYTES) throw new Damaged(`${name}: too large for a browser; use aims_verify.py`);
}

async function endOf(file) {
  const tail = await view(file, Math.max(0, file.size - 66000), file.size);
  let at = tail.byteLength - 22;
  while (at >= 0 && tail.getUint32(at, true) !== 0x06054b50) at -= 1;
  if (at < 0) throw new Damaged('it is no zip');
  if (at < 20 || tail.getUint32(at - 20, true) !== 0x07064b50) {
    return { count: tail.getUint16(at + 10, true), length: tail.getUint32(at + 12, true), start: tail.getUint32(at + 16, true) };
  }
  const where = Number(tail.getBigUint64(at - 12, true));
  const end = await view(file, where, where + 56);
  if (end.getUint32(0, true) !== 0x06064b50) throw new Damaged('the zip is damaged');
  const [count, length, start] = [32, 40, 48].map((place) => Number(end.getBigUint64(place, true)));
  return { count, length, start };
}

function entryAt(directory, place) {
  const [version, flags, method, nameBytes, extraBytes, commentBytes] = [6, 8, 10, 28, 30, 32].map((at) => directory.getUint16(place + at, true));
  const length = 46 + nameBytes + extraBytes + commentBytes;
  if (place + length > directory.byteLength) throw new Damaged('the zip is damaged');
  const name = ascii(new DataView(directory.buffer, directory.byteOffset + place + 46, nameBytes));
  let [packed, size, offset] = [20, 24, 42].map((at) => directory.getUint32(place + at, true));
  const crc = directory.getUint32(place + 16, true);
  let extra = place + 46 + nameBytes;
  const last = extra + extraBytes;
  while (extra + 4 <= last) {
    const [kind, bytes] = [directory.getUint16(extra, true), directory.getUint16(extra + 2, true)];
    let field = extra + 4;
    const wide = () => {
      if (field + 8 > last) throw new Damaged('the zip is damaged');
      field += 8;
      return Number(directory.getBigUint64(field - 8, true));
    };
    if (kind === 1) {
      if (size === 0xffffffff) size = wide();
      if (packed === 0xffffffff) packed = wide();
      if (offset === 0xffffffff) offset = wide();
    }
    extra += 4 + bytes;
  }
  return { name, version: version & 0xff, flags, method, crc, packed, size, offset, length };
}

async function unfolded(packed, { name, method, size }) {
  const stream = method === DEFLATED ? packed.stream().pipeThrough(new DecompressionStream('deflate-raw')) : packed.stream();
  const raw = new Uint8Array(size);
  let at = 0;
  try {
    for (const reader = stream.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > size) throw new Damaged(`${name}: longer than it says`);
      raw.set(value, at);
      at += value.length;
    }
  } catch (error) {
    throw error instanceof Damaged ? error : new Damaged(`${name}: the zip is damaged`);
  }
  return raw.subarray(0, at);
}

async function view(file, start, end, name = '') {
  if (start < 0 || end > file.size || start > end) throw new Damaged(name ? `${name}: the zip is damaged` : 'the zip is damaged');
  return new DataView(await file.slice(start, end).arrayBuffer());
}

const TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  let value = number;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

function crc32(raw) {
  let value = 0xffffffff;
  for (let at = 0; at < raw.length; at += 1) value = (value >>> 8) ^ TABLE[(value ^ raw[at]) & 0xff];
  return (value ^ 0xffffffff) >>> 0;
}

const ascii = (bytes) => String.fromCharCode(...new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
