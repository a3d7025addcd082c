// The studio as one file that holds its generator.

import { LOCAL_FILES } from "./files.js";
import { Local } from "./local.js";
import { start } from "./start.js";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
start(new Local(read("generator")), { ...read("offers"), outputs: LOCAL_FILES });
