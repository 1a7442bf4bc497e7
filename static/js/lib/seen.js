/* Which stretches of something have been seen. A stretch is [from, to], both from 0 (its beginning) to 1 (its end). */

/* Return the stretches with one more, in order, those that touch joined. slack: a gap up to this is none. */
export function withStretch(stretches, stretch, slack = 0) {
  const joined = [];
  for (const [from, to] of [...stretches, stretch].sort((one, other) => one[0] - other[0])) {
    const last = joined.at(-1);
    if (last && from <= last[1] + slack) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined;
}

/* Return where the first stretch begins that was not seen; 1 when all was. */
export function firstUnseen(stretches, slack = 0) {
  const [first] = stretches;
  if (!first || first[0] > slack) return 0;
  return first[1] >= 1 - slack ? 1 : first[1];
}
