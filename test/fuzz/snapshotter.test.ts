import { expect } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { SociError } from "../../src/errors.ts";
import { type OpenedSnapshotter, openDirectly } from "../snapshotter/opened-snapshotter.ts";
import { layerLabels, targetOf } from "../snapshotter/sample-layer.ts";
import { tempDir } from "../support/temp-dir.ts";
import { fuzzAsync } from "./fuzz.ts";

const LAYERS = ["p", "q", "r"] as const;
const NAMES = ["a", "b", "c", ...LAYERS.map(targetOf)];

interface Step {
  readonly call: "prepare" | "view" | "layer" | "commit" | "remove" | "update" | "reopen";
  readonly key: string;
  /** A parent, or a name to commit as. */
  readonly other: string;
  readonly layer: string;
  readonly value: string;
}

const name = fc.constantFrom(...NAMES);
const steps = fc.array(
  fc.record<Step>({
    call: fc.constantFrom(
      ...(["prepare", "view", "layer", "layer", "commit", "remove", "update", "reopen"] as const),
    ),
    key: name,
    other: fc.oneof(name, fc.constant("")),
    layer: fc.constantFrom(...LAYERS),
    value: fc.constantFrom("", "1", "2"),
  }),
  { minLength: 1, maxLength: 40 },
);

interface Known {
  readonly kind: "active" | "view" | "committed";
  readonly parent: string;
  readonly served: boolean;
  readonly value: string;
}

/** The rules, as plainly as they can be put: the outcome of a step. */
class Model {
  readonly known = new Map<string, Known>();

  do({ call, key, other, layer, value }: Step): string {
    switch (call) {
      case "prepare":
      case "view": {
        const kind = call === "view" ? "view" : "active";
        return this.#make(key, { kind, parent: other, served: false, value });
      }
      case "layer":
        return this.#layer(key, other, targetOf(layer));
      case "commit":
        return this.#commit(key, other, value);
      case "remove":
        return this.#remove(key);
      case "update": {
        const known = this.known.get(key);
        if (known === undefined) return "not-found";
        this.known.set(key, { ...known, value });
        return "done";
      }
      case "reopen":
        return "done";
    }
  }

  #make(key: string, snapshot: Known): string {
    const parent = this.known.get(snapshot.parent);
    if (snapshot.parent !== "" && parent === undefined) return "not-found";
    if (parent !== undefined && parent.kind !== "committed") return "invalid-argument";
    if (this.known.has(key)) return "already-exists";
    this.known.set(key, snapshot);
    return "done";
  }

  #layer(key: string, parent: string, target: string): string {
    const outcome = this.#make(key, { kind: "active", parent, served: false, value: "" });
    const below = this.known.get(parent);
    if (outcome !== "done" || (below !== undefined && !below.served)) return outcome;
    const there = key === target ? undefined : this.known.get(target);
    if (there === undefined) {
      this.known.delete(key);
      this.known.set(target, { kind: "committed", parent, served: true, value: "" });
      return "already-exists";
    }
    // Where containerd would not find it, it unpacks the layer.
    if (!there.served || there.parent !== parent) return "done";
    this.known.delete(key);
    return "already-exists";
  }

  #commit(key: string, as: string, value: string): string {
    const known = this.known.get(key);
    if (known === undefined) return "not-found";
    if (as === "") return "invalid-argument";
    if (this.known.has(as)) return "already-exists";
    if (known.kind !== "active") return "failed-precondition";
    this.known.delete(key);
    this.known.set(as, { ...known, kind: "committed", value });
    return "done";
  }

  #remove(key: string): string {
    if (!this.known.has(key)) return "not-found";
    for (const { parent } of this.known.values()) if (parent === key) return "failed-precondition";
    this.known.delete(key);
    return "done";
  }
}

async function run({ calls }: OpenedSnapshotter, step: Step): Promise<string> {
  const { call, key, other, layer, value } = step;
  const labels: Record<string, string> = value === "" ? {} : { value };
  try {
    if (call === "prepare") await calls.prepare({ key, parent: other, labels });
    if (call === "view") await calls.view({ key, parent: other, labels });
    if (call === "layer") {
      await calls.prepare({ key, parent: other, labels: layerLabels(layer) });
    }
    if (call === "commit") await calls.commit(key, other, labels);
    if (call === "remove") await calls.remove(key);
    if (call === "update") await calls.update(key, { value }, ["labels.value"]);
  } catch (error) {
    if (error instanceof SociError) return error.kind;
    throw error;
  }
  return "done";
}

async function stateOf({ calls }: OpenedSnapshotter): Promise<Map<string, Known>> {
  const infos = await calls.list();
  return new Map(
    infos.map(({ name: key, kind, parent, labels }) => [
      key,
      {
        kind: kind === "unknown" ? "active" : kind,
        parent,
        served: labels["containerd.io/snapshot/remote"] !== undefined,
        value: labels["value"] ?? "",
      },
    ]),
  );
}

/** What the mounter was told agrees with what there is. */
function checkHeld({ mounter }: OpenedSnapshotter, known: ReadonlyMap<string, Known>): void {
  const served = [...known.values()].filter((one) => one.served);
  expect(mounter.layers.size).toBe(served.length);
  const isOverServed = (one: Known): boolean => {
    const parent = known.get(one.parent);
    return parent !== undefined && (parent.served || isOverServed(parent));
  };
  const users = [...known.values()].filter((one) => one.kind !== "committed" && isOverServed(one));
  expect(mounter.stacks.size).toBe(users.length);
}

fuzzAsync(
  "a snapshotter does what a model of containerd's rules does, and remembers it",
  { runs: 60 },
  steps,
  async (sequence) => {
    await using dir = await tempDir();
    const model = new Model();
    let opened = await openDirectly({ dir });
    try {
      for (const step of sequence) {
        if (step.call === "reopen") {
          await opened[Symbol.asyncDispose]();
          opened = await openDirectly({ dir });
        }
        const outcome = await run(opened, step);
        expect({ step, outcome }).toEqual({ step, outcome: model.do(step) });
        expect(await stateOf(opened)).toEqual(model.known);
        checkHeld(opened, model.known);
      }
      await opened.calls.cleanup();
      const local = [...model.known.values()].filter((one) => !one.served);
      expect((await readdir(join(dir.path, "snapshots"))).length).toBe(local.length);
    } finally {
      await opened[Symbol.asyncDispose]();
    }
  },
);
