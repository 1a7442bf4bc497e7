/* How long to wait before the n-th try (from 0): doubles from half a second to 30 s, spread so that a restarted
   server does not meet everybody at once. random: a number in [0, 1). */
const FIRST_MS = 500;
const MOST_MS = 30_000;

export function waitMs(attempt, random = Math.random()) {
  const whole = Math.min(MOST_MS, FIRST_MS * 2 ** attempt);
  return Math.round(whole / 2 + (whole / 2) * random);
}
