/** JSON as text: it is laid out in lines without being read, so that numbers keep all their digits and keys their order. */

export type Kind = "key" | "string" | "number" | "word" | "mark";

export interface Token {
  readonly kind: Kind;
  readonly text: string;
}

const TOKEN = /\s+|"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/gy;

/** The tokens of a JSON text, or `undefined` if it is none. */
function tokens(text: string): string[] | undefined {
  const found: string[] = [];
  TOKEN.lastIndex = 0;
  let end = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    end = TOKEN.lastIndex;
    if (match[0].trim() !== "") found.push(match[0]);
    if (end === text.length) break;
  }
  return end === text.length ? found : undefined;
}

/** Is a list or object this short, it stays on one line. */
const LINE = 72;

/** The tokens of a JSON text with line breaks and indents between them, or `undefined` if the text is no JSON. */
export function laidOut(text: string): Token[] | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const all = tokens(text);
  if (!all) return undefined;
  const lines: Token[] = [];
  const ends = matching(all);
  let depth = 0;
  // Until this token, everything is on one line.
  let flatUntil = -1;
  const mark = (piece: string): void => void lines.push({ kind: "mark", text: piece });
  const newLine = (): void => mark(`\n${"  ".repeat(depth)}`);
  for (const [index, token] of all.entries()) {
    const isFlat = index <= flatUntil;
    if (token === "{" || token === "[") {
      mark(token);
      if (isFlat) continue;
      const end = ends.get(index) ?? index;
      if (width(all, index, end) <= LINE) {
        flatUntil = end;
        continue;
      }
      depth += 1;
      newLine();
    } else if (token === "}" || token === "]") {
      if (!isFlat) {
        depth -= 1;
        newLine();
      }
      mark(token);
    } else if (token === ",") {
      mark(isFlat ? ", " : ",");
      if (!isFlat) newLine();
    } else if (token === ":") {
      mark(": ");
    } else {
      lines.push({ kind: kind(token, all[index + 1] === ":"), text: token });
    }
  }
  return lines;
}

function kind(token: string, isKey: boolean): Kind {
  if (token.startsWith('"')) return isKey ? "key" : "string";
  return /^[tfn]/.test(token) ? "word" : "number";
}

/** For each opening bracket the closing one. */
function matching(all: readonly string[]): Map<number, number> {
  const ends = new Map<number, number>();
  const open: number[] = [];
  for (const [index, token] of all.entries()) {
    if (token === "{" || token === "[") open.push(index);
    else if (token === "}" || token === "]") ends.set(open.pop() ?? 0, index);
  }
  return ends;
}

function width(all: readonly string[], from: number, to: number): number {
  let sum = 0;
  for (let index = from; index <= to && sum <= LINE; index += 1) sum += (all[index]?.length ?? 0) + 1;
  return sum;
}
