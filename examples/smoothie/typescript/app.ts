/** The kitchen's blender. */
import { Permanent, taskFn } from "brrr";

interface Args {
  context: { liquids: string[]; [diced: `diced-${string}`]: string };
}

/** Smooshes together all that is diced, and the liquids. */
export const blend = taskFn("blend", ({ context }: Args): { smoothie: string } => {
  const diced = Object.entries(context).flatMap(([key, pieces]) => (key.startsWith("diced-") ? [pieces] : []));
  if (diced.length === 0) throw new Permanent("there is nothing to blend");
  const pieces = [...diced, ...context.liquids].flatMap((text) => [...String(text)]);
  for (let i = pieces.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [pieces[i], pieces[j]] = [pieces[j]!, pieces[i]!];
  }
  return { smoothie: pieces.join("") };
});
