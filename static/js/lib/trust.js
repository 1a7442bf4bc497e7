/* Whom to believe about a checkpoint: the log's keys, and the witnesses of a policy. No DOM, no network.
   Specs: C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy; the same rules as audit/exports/aims_verify.py. */
import { COSIGNATURE, Refused, parseCheckpoint, parseKey, verifySignature } from 'aims/lib/merkle.js';

const COUNT = /^(0|[1-9][0-9]{0,17})$/;

export class Unusable extends Error {}

/* Returns what to ask of a checkpoint. vkeys, policy: text, a line each; both may be empty. Throws Unusable. */
export async function readTrust({ vkeys, policy }) {
  const trust = { logs: [], witnesses: new Map(), groups: new Map(), quorum: 'none', isOwn: false, isChecked: true };
  for (const vkey of vkeys.split(/\s+/).filter(Boolean)) trust.logs.push(await keyOf(vkey));
  for (const line of policy.split('\n')) await rule(trust, line.trim().split(/[ \t]+/).filter(Boolean));
  return trust;
}

/* Returns size and root of a checkpoint, its signatures checked as far as this browser can. own: the key in the bundle. */
export async function checkCheckpoint(trust, { name, note, origin, own }) {
  const head = parseCheckpoint(note);
  if (head.origin !== origin) throw new Refused(`${name}: not a checkpoint of ${origin}`);
  if (!trust.logs.length) trust.isOwn = true;
  const keys = (trust.logs.length ? trust.logs : [await keyOf(own)]).filter((key) => key.name === origin);
  if (!keys.length) throw new Refused(`${name}: it is a checkpoint of ${origin}, for which you brought no key: another log`);
  let isSigned = false;
  for (const key of keys) isSigned ||= await signed(trust, key, head, name);
  if (!isSigned) throw new Refused(`${name}: not signed with the key of ${origin}`);
  if (!await reached(trust, trust.quorum, head, name, [])) {
    throw new Refused(`${name}: the policy's quorum '${trust.quorum}' has not cosigned it`);
  }
  return head;
}

async function rule(trust, [kind, ...words]) {
  if (!kind || kind.startsWith('#')) return;
  if (kind === 'log' && [1, 2].includes(words.length)) trust.logs.push(await keyOf(words[0]));
  else if (kind === 'witness' && [2, 3].includes(words.length)) trust.witnesses.set(words[0], await keyOf(words[1], [COSIGNATURE]));
  else if (kind === 'group' && words.length > 2) trust.groups.set(words[0], groupOf(words.slice(1)));
  else if (kind === 'quorum' && words.length === 1) [trust.quorum] = words;
  else throw new Unusable(`the policy has a line that is not known here: '${[kind, ...words].join(' ').slice(0, 80)}'`);
}

function groupOf([said, ...named]) {
  const members = [...new Set(named)];
  const text = { any: '1', all: String(members.length) }[said] ?? said;
  const count = COUNT.test(text) ? Number(text) : 0;
  if (count < 1 || count > members.length) throw new Unusable("the policy has a group that can't be reached");
  return { count, members };
}

async function reached(trust, who, head, name, above) {
  if (who === 'none') return true;
  if (trust.witnesses.has(who)) return signed(trust, trust.witnesses.get(who), head, name);
  if (!trust.groups.has(who) || above.includes(who)) throw new Unusable(`the policy names '${who}', which it does not explain`);
  const { count, members } = trust.groups.get(who);
  let found = 0;
  for (const member of members) found += await reached(trust, member, head, name, [...above, who]);
  return found >= count;
}

/* Returns whether this key has signed; a signature of it that does not hold is refused. */
async function signed(trust, key, head, name) {
  const mine = head.signatures.filter((each) => each.name === key.name && each.id === key.id);
  if (!mine.length) return false;
  const verdict = await verifySignature({ ...head, signatures: mine.slice(0, 1), key }).catch(() => {
    throw new Refused(`${name}: the signature of ${key.name} is wrong`);
  });
  trust.isChecked &&= verdict === 'proven';
  return true;
}

async function keyOf(vkey, kinds) {
  return parseKey(vkey, kinds).catch(() => { throw new Refused(`not a verifier key that is known here: '${vkey.slice(0, 80)}'`); });
}
