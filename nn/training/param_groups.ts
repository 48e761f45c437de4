/**
 * Groups of parameters, by their names: what learns in its own way, and what does not learn.
 *
 * @module
 */

import { checkType, isObject } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { copyOf } from "../plain_data.ts";
import type { OptimConfig } from "./optim.ts";

/** Parameters by their names: one name, what names match, or several of these. */
export type ParamNames = string | RegExp | readonly (string | RegExp)[];

/** Settings of the update rule for some parameters, in place of those for all. */
export interface ParamGroup extends OptimConfig {
  /** Which parameters: each name must be one, and each expression match one. */
  readonly params: ParamNames;
}

/**
 * The parameters that are meant.
 *
 * @param option What messages call the value.
 * @param value Names, expressions, or several of these.
 * @param names The names that there are.
 * @returns Those that are meant.
 * @throws {TypeError} If the value is something else.
 * @throws {RangeError} If a name is none of them, or an expression matches none.
 */
export function namesOf(
  option: string,
  value: unknown,
  names: readonly string[],
): ReadonlySet<string> {
  const found = new Set<string>();
  for (const pattern of Array.isArray(value) ? value : [value]) {
    const isExpression = pattern instanceof RegExp;
    const isRight = isExpression || typeof pattern === "string";
    checkType(isRight, option, "hold names or regular expressions", pattern);
    // search() does not heed where an expression with the flag g or y stands.
    const matches = names.filter((name) =>
      isExpression ? name.search(pattern) >= 0 : name === pattern
    );
    if (matches.length === 0) {
      throw new ArgumentRangeError(
        `${option} must name parameters: there is no ${pattern} among ${names.join(", ")}`,
      );
    }
    for (const name of matches) found.add(name);
  }
  return found;
}

/**
 * The settings of each parameter at the start.
 *
 * @param all The settings of all.
 * @param groups Settings of some, the later before the earlier.
 * @param names The parameters.
 * @returns A config of its own for each.
 * @throws {TypeError} If a group has a wrong type.
 * @throws {RangeError} If a group's params are not there.
 */
export function configsOf(
  all: OptimConfig,
  groups: readonly ParamGroup[],
  names: readonly string[],
): Record<string, OptimConfig> {
  const configs = Object.fromEntries(names.map((name) => [name, copyOf(all, "optimConfig")]));
  for (const [i, { params, ...group }] of groups.entries()) {
    const option = `paramGroups[${i}]`;
    const given = Object.entries(copyOf(group, option)).filter(([, value]) => value !== undefined);
    for (const name of namesOf(`${option}.params`, params, names)) {
      Object.assign(configs[name], Object.fromEntries(given));
    }
  }
  return configs;
}

/** Checks that a value is a list of groups; which parameters there are, it does not know. */
export function checkGroups(name: string, value: unknown): asserts value is readonly ParamGroup[] {
  const isList = Array.isArray(value) &&
    value.every((group) => isObject(group) && "params" in group);
  checkType(isList, name, "be an array of groups with params", value);
}
