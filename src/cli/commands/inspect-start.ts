import type { Descriptor } from "../../oci/descriptor.ts";
import type { ResolvedImage } from "../../oci/resolve-image.ts";
import type { DiscoveredIndex } from "../../soci/discover.ts";
import type { ExplainedLayer } from "./explain-layers.ts";

/** One thing that a start asks the registry for. */
export interface StartRequest {
  readonly what: "image index" | "manifest" | "config" | "referrers" | "SOCI index" | "zTOCs";
  /** Requests, all made at once. */
  readonly requests: number;
  /** Undefined: known only when the answer is there. */
  readonly bytes: number | undefined;
}

/** What has to come over the network before a container of the image runs, none of it being here. */
export interface ColdStart {
  /** One after the other; what stands in one round is asked for at once. */
  readonly rounds: readonly (readonly StartRequest[])[];
  readonly requests: number;
  /** Of what is known: a list of referrers is not. */
  readonly bytes: number;
  /** Layers without a zTOC, which are downloaded whole. */
  readonly wholeLayers: number;
  readonly wholeBytes: number;
  /** Of all layers: what has to come where nothing is lazy. */
  readonly imageBytes: number;
}

export interface ColdStartOptions {
  readonly image: ResolvedImage;
  readonly found: DiscoveredIndex | undefined;
  readonly layers: readonly ExplainedLayer[];
}

/** Follows from what the image is; nothing is asked. An index that is on this host alone costs nothing here. */
export function coldStartOf({ image, found, layers }: ColdStartOptions): ColdStart {
  const { root, descriptor, manifest } = image;
  const isLocal = found?.from === "local";
  const rounds: StartRequest[][] = [];
  if (root.digest !== descriptor.digest) rounds.push([one("image index", root)]);
  rounds.push([one("manifest", descriptor)]);
  const config = one("config", manifest.config);
  const isNamed = found?.from === "v2-annotation" || found?.from === "explicit";
  if (found !== undefined && isNamed) {
    rounds.push([one("SOCI index", found.descriptor), config]);
  } else {
    rounds.push([{ what: "referrers", requests: 1, bytes: undefined }, config]);
    if (found !== undefined && !isLocal) rounds.push([one("SOCI index", found.descriptor)]);
  }
  const distinct = [...new Map(layers.map((layer) => [layer.descriptor.digest, layer])).values()];
  const ztocs = new Map(
    distinct.flatMap(({ ztoc }) => (ztoc === undefined ? [] : [[ztoc.digest, ztoc.size] as const])),
  );
  if (ztocs.size > 0 && !isLocal) {
    rounds.push([{ what: "zTOCs", requests: ztocs.size, bytes: sum([...ztocs.values()]) }]);
  }
  const whole = distinct.filter(({ ztoc }) => ztoc === undefined);
  const all = rounds.flat();
  return {
    rounds,
    requests: sum(all.map(({ requests }) => requests)),
    bytes: sum(all.map(({ bytes = 0 }) => bytes)),
    wholeLayers: whole.length,
    wholeBytes: sum(whole.map(({ descriptor: { size } }) => size)),
    imageBytes: sum(distinct.map(({ descriptor: { size } }) => size)),
  };
}

function one(what: StartRequest["what"], { size }: Descriptor): StartRequest {
  return { what, requests: 1, bytes: size };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
