/** A regular file that the demo may read. */
export interface Candidate {
  /** In the image, with a leading `/`. */
  readonly path: string;
  readonly size: number;
  /** Number of the layer that holds it. */
  readonly layer: number;
}

const KiB = 1024;
const TARGETS = [
  { label: "small", size: 20 * KiB },
  { label: "middle", size: 1024 * KiB },
  { label: "large", size: 16 * 1024 * KiB },
] as const;

/** All ways to take three of so many are gone through. */
const MAX_NEAREST = 30;

export interface Choice<T extends Candidate> {
  readonly label: string;
  readonly file: T;
}

/** A small, a middle and a large file, from as many layers as there are, and near in size to what they stand for. */
export function chooseFiles<T extends Candidate>(candidates: readonly T[]): Choice<T>[] {
  const best = TARGETS.map(({ size }) => nearest(candidates, size));
  let found: { readonly files: readonly T[]; readonly cost: number } | undefined;
  for (const small of best[0] ?? []) {
    for (const middle of best[1] ?? []) {
      for (const large of best[2] ?? []) {
        const files = [small, middle, large];
        const cost = costOf(files);
        if (cost < (found?.cost ?? Number.POSITIVE_INFINITY)) found = { files, cost };
      }
    }
  }
  return (found?.files ?? []).map((file, i) => ({ label: TARGETS[i]?.label ?? "", file }));
}

/** Those nearest in size, few of each layer: enough to choose from. */
function nearest<T extends Candidate>(candidates: readonly T[], size: number): readonly T[] {
  const ofLayer = new Map<number, number>();
  return candidates
    .toSorted((left, right) => distance(left, size) - distance(right, size))
    .filter(({ layer }) => {
      const count = (ofLayer.get(layer) ?? 0) + 1;
      ofLayer.set(layer, count);
      return count <= TARGETS.length;
    })
    .slice(0, MAX_NEAREST);
}

/** How far the sizes are off, in powers of two; layers and files in common count most. */
function costOf(files: readonly Candidate[]): number {
  const off = files.reduce((sum, file, i) => sum + distance(file, TARGETS[i]?.size ?? 1), 0);
  const layers = new Set(files.map(({ layer }) => layer)).size;
  const paths = new Set(files.map(({ path }) => path)).size;
  return off + (files.length - layers) * 100 + (files.length - paths) * 1000;
}

function distance({ size }: Candidate, target: number): number {
  return Math.abs(Math.log2(Math.max(size, 1) / target));
}
