/**
 * The worker that trains.
 *
 * @module
 */

import { serveTraining } from "../io/worker.ts";

serveTraining();
