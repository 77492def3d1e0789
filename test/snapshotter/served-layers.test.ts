import { describeServedLayers } from "../suite/served-layers.ts";
import { openDirectly, openOverGrpc } from "./opened-snapshotter.ts";

describeServedLayers({ name: "Snapshotter", open: openDirectly });
describeServedLayers({ name: "snapshotsService() on a socket", open: openOverGrpc });
