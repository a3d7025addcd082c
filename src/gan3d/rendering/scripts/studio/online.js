// The studio that `gan3d serve` offers.

import { Server } from "./server.js";
import { start } from "./start.js";

const offers = JSON.parse(document.getElementById("offers").textContent);
start(new Server(offers), offers);
