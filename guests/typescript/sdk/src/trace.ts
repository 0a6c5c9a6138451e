/** Errors as text. */

/** Frames of a stack that are shown: the place, and how one got there. */
const FRAMES = 6;

/**
 * `[sources, for each line of the bundle [index of the source, line there] or 0]`, appended by the build. Only the
 * user's own files are in it, so frames of the SDK and of libraries are left out.
 */
declare const __brrrLines: readonly [readonly string[], readonly (readonly [number, number] | 0)[]] | undefined;

/** The error's type and message, and the last of the user's own frames. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${typeof error === "string" ? error : JSON.stringify(error)}`;
  return [`${error.name}: ${error.message}`, ...userFrames(error.stack ?? "").slice(0, FRAMES)].join("\n");
}

function userFrames(stack: string): string[] {
  if (typeof __brrrLines === "undefined") return [];
  const [sources, lines] = __brrrLines;
  const frames = [];
  for (const frame of stack.split("\n")) {
    const match = /^\s*at (\S+).*?:(\d+)(?::\d+)?\)?$/.exec(frame);
    const origin = match && lines[Number(match[2]) - 1];
    if (!origin) continue;
    const place = `${sources[origin[0]]}:${origin[1]}`;
    frames.push(match[1] === "<anonymous>" ? `  at ${place}` : `  at ${match[1]} (${place})`);
  }
  return frames;
}
