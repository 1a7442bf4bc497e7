/* Series for stacked bars, and the span that a drag covers, without DOM. */

/* rows: { start, end, n, yes, waiting, no }, times in seconds. Each series holds the sum of itself and those below it, the
   highest first, so that lower ones are drawn over it. */
export function stacked(rows) {
  const series = [rows.map((row) => row.start), [], [], [], []];
  for (const row of rows) {
    series[1].push(row.n);
    series[2].push(row.no + row.waiting + row.yes);
    series[3].push(row.no + row.waiting);
    series[4].push(row.no);
  }
  return series;
}

/* The whole bars that lie under a drag from one moment to another, in either direction; null where there are none. */
export function covered(rows, from, to) {
  const [low, high] = from < to ? [from, to] : [to, from];
  const under = rows.filter((row) => row.end > low && row.start < high);
  return under.length ? { start: under[0].start, end: under.at(-1).end } : null;
}

/* What stands under the bars, in a zone: hours with the day where it changes, or days. moments: in seconds. */
export function named(moments, { lang, zone, isHourly }) {
  const day = new Intl.DateTimeFormat(lang, { timeZone: zone, day: 'numeric', month: 'short' });
  const hour = new Intl.DateTimeFormat(lang, { timeZone: zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const days = moments.map((at) => day.format(at * 1000));
  if (!isHourly) return days;
  return moments.map((at, n) => `${hour.format(at * 1000)}${days[n] === days[n - 1] ? '' : `\n${days[n]}`}`);
}

/* 1764324000 as 2025-11-28T10:00Z, which queries read. */
export function spelled(seconds) {
  return `${new Date(seconds * 1000).toISOString().slice(0, 16)}Z`;
}
