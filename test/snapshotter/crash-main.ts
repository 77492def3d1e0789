import { Metastore } from "../../src/snapshotter/metastore.ts";
import { Snapshotter } from "../../src/snapshotter/snapshotter.ts";
import { FakeLayerMounter } from "../support/fake-layer-mounter.ts";
import { layerToMake, targetOf } from "./sample-layer.ts";

// Works on the root of its first argument until it is killed, and writes the name of each committed
// snapshot when it is.

const [, , root = "", round = ""] = process.argv;
const snapshotter = await Snapshotter.open({
  root,
  metastore: Metastore.open(`${root}/snapshots.sqlite`),
  mounter: new FakeLayerMounter(`${root}/shown`),
});

for (let at = 0; ; at += 1) {
  const layer = `${round}/${at}`;
  const { key, labels = {} } = layerToMake(layer);
  await snapshotter.prepare({ name: key, labels, namespace: "test" }).catch(() => undefined);
  process.stdout.write(`${targetOf(layer)}\n`);
  const local = `local ${layer}`;
  await snapshotter.prepare({ name: "next", parent: targetOf(layer), labels: {} });
  await snapshotter.commit({ key: "next", name: local, labels: {} });
  process.stdout.write(`${local}\n`);
  await snapshotter.view({ name: "view", parent: local, labels: {} });
  await snapshotter.remove("view");
}
