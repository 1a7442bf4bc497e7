/* The words of a length of time, as the server's `ago` filter has them; a test holds the two together. */
const UNITS = [[86_400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']];
const DAY_S = 86_400;

/* Return [count, unit] in the largest whole unit. */
export function largest(seconds) {
  const whole = Math.abs(Math.trunc(seconds));
  const [size, unit] = UNITS.find(([length]) => whole >= length) ?? [1, 'second'];
  return [Math.floor(whole / size), unit];
}

/* Return how far a moment is from now, or null where the absolute date says it better. */
export function relative(thenMs, nowMs, locale = 'en') {
  const seconds = Math.trunc((thenMs - nowMs) / 1000);
  if (Math.abs(seconds) >= DAY_S) return null;
  const [count, unit] = largest(seconds);
  const span = SHORT[unit] && locale.startsWith('en') ? `${count} ${SHORT[unit]}` : null;
  if (span) return seconds > 0 ? `in ${span}` : `${span} ago`;
  return new Intl.RelativeTimeFormat(locale, { style: 'narrow' }).format(seconds > 0 ? count : -count, unit);
}

const SHORT = { second: 's', minute: 'min', hour: 'h', day: 'd' };

/* Return what is left as minutes and seconds, 4:12, or in words above an hour; "0:00" when it is over. */
export function countdown(untilMs, nowMs) {
  const left = Math.max(0, Math.floor((untilMs - nowMs) / 1000));
  if (left >= 3600) return `${Math.floor(left / 3600)} h ${Math.floor((left % 3600) / 60)} min`;
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
}
