/**
 * Calls whose worker the host ends, before they begin and in the middle of them: a program for a host that
 * ends workers at once, as Node does.
 *
 * @module
 */

import { convForward, RandomState } from "../../mod.ts";
import { setJobRunner } from "../../kernels/simd/job.ts";
import { immediate } from "../../kernels/simd/queue.ts";
import { threadedRunner } from "../../kernels/threads/run.ts";
import { Team } from "../../kernels/threads/team.ts";

const ROUNDS = 50;

const random = new RandomState(1);
const x = random.randn([30, 8, 16, 16]), w = random.randn([8, 8, 3, 3]);
const forward = () => convForward(x, w, null, { pad: 1 }).out.data.join();
const expected = forward();
/** What came of the calls: the messages of errors, "same" or "other". */
const calls: string[] = [], next: string[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const team = await Team.start(2, 4096, 20);
  if (typeof team === "string") throw new Error(team);
  const runner = threadedRunner(team);
  if (round % 2 === 0) team.endWorkers();
  setJobRunner((job, count) =>
    runner({
      ...job,
      run(queue, first, end) {
        if (queue === immediate) team.endWorkers();
        return job.run(queue, first, end);
      },
    }, count)
  );
  try {
    calls.push(forward() === expected ? "same" : "other");
  } catch (error) {
    calls.push((error as Error).message);
  }
  setJobRunner(runner);
  next.push(forward() === expected ? "same" : "other");
  setJobRunner();
  team.close();
}
console.log(JSON.stringify({ calls, next }));
