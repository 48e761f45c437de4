/**
 * Markdown as HTML: links between documents, headings with anchors, highlighted code, formulas.
 *
 * @module
 */

// @ts-types="./highlight.d.ts"
import hljs from "highlight.js";
import katex from "katex";
import { Marked, type Tokens } from "marked";
import { escaped } from "./layout.ts";

/** What becomes of the relative links of a document. */
export interface Links {
  /** The link of a page in place of that of a document; undefined where there is no such page. */
  page(link: string): string | undefined;
  /** The link of an image, which is beside the pages then. */
  image(link: string): string;
}

/** The anchors of headings, as GitHub makes them, each once. */
class Anchors {
  readonly #seen = new Map<string, number>();

  of(title: string): string {
    const text = title.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
    const count = this.#seen.get(text) ?? 0;
    this.#seen.set(text, count + 1);
    return count === 0 ? text : `${text}-${count}`;
  }
}

/**
 * Code as HTML, with its words in colors.
 *
 * @param text The code.
 * @param language Its language, if it is known.
 * @returns HTML.
 */
export function highlighted(text: string, language: string): string {
  return hljs.getLanguage(language) === undefined
    ? escaped(text)
    : hljs.highlight(text, { language }).value;
}

/** Formulas between dollar signs: $$ on lines of their own, $ in a line. */
const FORMULA = /\$\$([\s\S]+?)\$\$|\$(?!\s)([^$\n]+?)(?<!\s)\$(?!\d)/g;

/** Formulas as HTML, with MathML for screen readers. */
function formula(text: string, displayMode: boolean): string {
  return katex.renderToString(text, { displayMode, throwOnError: true });
}

function isRelative(link: string): boolean {
  return !/^[a-z]+:/.test(link) && !link.startsWith("#");
}

/** A converter of one document, or of its parts one after the other. */
export class Converter {
  readonly #marked: Marked;

  /**
   * A converter.
   *
   * @param links What becomes of relative links.
   */
  constructor(links: Links) {
    const anchors = new Anchors();
    this.#marked = new Marked({
      renderer: {
        heading({ tokens, depth, text }: Tokens.Heading): string {
          const plain = text.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1");
          const inner = this.parser.parseInline(tokens);
          return `<h${depth} id="${anchors.of(plain)}">${inner}</h${depth}>\n`;
        },
        code({ text, lang = "" }: Tokens.Code): string {
          const [language] = lang.split(" ");
          return `<pre tabindex="0"><code>${highlighted(text, language)}</code></pre>\n`;
        },
        link({ href, tokens }: Tokens.Link): string {
          const inner = this.parser.parseInline(tokens);
          const to = isRelative(href) ? links.page(href) : href;
          return to === undefined ? inner : `<a href="${escaped(to)}">${inner}</a>`;
        },
        image({ href, text }: Tokens.Image): string {
          const from = isRelative(href) ? links.image(href) : href;
          return `<img src="${escaped(from)}" alt="${escaped(text)}">`;
        },
      },
      hooks: {
        postprocess: (html: string) =>
          html.replaceAll("<table>", `<div class="scroll" tabindex="0"><table>`)
            .replaceAll("</table>", "</table></div>"),
      },
    });
  }

  /**
   * A document as HTML.
   *
   * @param markdown The document.
   * @param hasFormulas Whether dollar signs stand around formulas. Default: false.
   * @returns HTML.
   */
  html(markdown: string, hasFormulas = false): string {
    const formulas: string[] = [];
    // Markdown would take underscores in formulas for emphasis.
    const text = !hasFormulas ? markdown : markdown.replaceAll(FORMULA, (_, block, line) => {
      formulas.push(formula(block ?? line, block !== undefined));
      return `\u{e000}${formulas.length - 1}\u{e001}`;
    });
    const html = this.#marked.parse(text, { async: false });
    return html.replaceAll(/\u{e000}(\d+)\u{e001}/gu, (_, i) => formulas[Number(i)]);
  }
}
