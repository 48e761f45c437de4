/**
 * The file of the worker that trainInWorker starts.
 *
 * @module
 */

import { serveTraining } from "./serve.ts";

serveTraining();
