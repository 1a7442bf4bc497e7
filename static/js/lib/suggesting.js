/* What a chosen suggestion makes of the text, without DOM. */
export function replaced({ text, cursor, start, insert }) {
  const after = text.slice(cursor);
  const gap = insert.endsWith(':') || after.startsWith(' ') || after.startsWith(')') ? '' : ' ';
  const before = text.slice(0, start) + insert + gap;
  return { text: before + after, cursor: before.length };
}

/* Which of count options is chosen after a step; -1 is none, and both ends lead there. */
export function stepped({ at, count, step }) {
  if (count === 0) return -1;
  const next = at + step;
  if (next < -1) return count - 1;
  return next >= count ? -1 : next;
}
