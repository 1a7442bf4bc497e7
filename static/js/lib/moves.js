/* Where a step in a list leads. at: the focused row or -1; current: the open row or -1. The ends hold. */
export function nextIndex({ at, current, count, step }) {
  if (count === 0) return -1;
  if (at >= 0) return Math.min(count - 1, Math.max(0, at + step));
  if (current >= 0) return Math.min(count - 1, Math.max(0, current + step));
  return step > 0 ? 0 : count - 1;
}
