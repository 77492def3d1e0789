import { describeSnapshotter } from "../suite/snapshotter.ts";
import { openDirectly, openOverGrpc } from "./opened-snapshotter.ts";

describeSnapshotter({ name: "Snapshotter", open: () => openDirectly() });
describeSnapshotter({ name: "snapshotsService() on a socket", open: () => openOverGrpc() });
