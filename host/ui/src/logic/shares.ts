/** The parts of new jobs that revisions take. */

/**
 * What each revision really takes, in percent, from the percents that they were given, newest first: a revision takes jobs up to its
 * percent, of which newer ones already have theirs, and the oldest one takes the rest.
 */
export function shares(percents: readonly number[]): number[] {
  let taken = 0;
  return percents.map((percent, index) => {
    const before = taken;
    taken = index === percents.length - 1 ? 100 : Math.max(taken, percent);
    return taken - before;
  });
}
