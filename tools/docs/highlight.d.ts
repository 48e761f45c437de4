/**
 * What is used of highlight.js, whose own types bring the types of all of a browser to every module.
 *
 * @module
 */

/** Its functions. */
declare const hljs: {
  /** What is known of a language; undefined if it is none of those known. */
  getLanguage(name: string): object | undefined;
  /** Code as HTML. */
  highlight(code: string, options: { readonly language: string }): { readonly value: string };
};

export default hljs;
