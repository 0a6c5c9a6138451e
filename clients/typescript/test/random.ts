/** Random values from a seed, which is printed, so that a run can be repeated: `BRRR_TEST_SEED=n`. */

export const SEED = Number(process.env["BRRR_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
console.log(`BRRR_TEST_SEED=${SEED}`);

/** xorshift32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // Zero would stay zero.
    this.#state = seed | 0 || 1;
  }

  /** A whole number from 0 up to below `bound`. */
  below(bound: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % bound;
  }

  /** So many of these characters. */
  text(characters: string, least: number, most: number): string {
    const list = [...characters];
    return Array.from({ length: least + this.below(most - least + 1) }, () => list[this.below(list.length)]).join("");
  }
}
