// Run as a process of its own: puts an artifact named by the second argument into the database at the first.
import { ArtifactDatabase } from "../../src/soci/artifact-database.ts";
import { indexArtifact } from "./sample-artifact.ts";

const [path = "", name = ""] = process.argv.slice(2);
using database = ArtifactDatabase.open(path);
database.put(indexArtifact(name));
