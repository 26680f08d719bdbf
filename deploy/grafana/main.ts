import { writeFileSync } from "node:fs";
import { dashboard } from "./dashboard.ts";

/** Writes the dashboard beside this file: `npm run dashboard:generate`. */
const file = new URL("dashboard.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(dashboard(), null, 2)}\n`);
