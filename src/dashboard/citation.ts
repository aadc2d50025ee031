import { type Citation, type SourceRange, SourceRange_Unit } from "../web/index.ts";
import { element } from "./element.ts";

/** A source in the list: its title, where it is, and the words that the answer rests on. */
export function citationItem(citation: Citation): HTMLLIElement {
  const { uri, title, quote, range } = citation;
  const item = element("li", "citation");
  item.append(titleOf(uri, title || uri));
  const place = element("span", "place", title === "" ? "" : uri);
  if (range !== undefined) place.append(title === "" ? "" : ", ", element("span", "range", rangeText(range)));
  if (place.hasChildNodes()) item.append(place);
  if (quote !== "") item.append(element("q", "quote", quote));
  return item;
}

/** A link only for the web's own schemes: a `javascript:` address in an agent's answer must not run in this page. */
function titleOf(uri: string, text: string): HTMLElement {
  if (!URL.canParse(uri) || !/^https?:$/.test(new URL(uri).protocol)) return element("span", "title", text);
  const link = element("a", "title", text);
  link.href = uri;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

const unitNames: Partial<Record<SourceRange_Unit, string>> = {
  [SourceRange_Unit.LINE]: "line",
  [SourceRange_Unit.SENTENCE]: "sentence",
  [SourceRange_Unit.PAGE]: "page",
};

function rangeText({ unit, start, end }: SourceRange): string {
  const name = unitNames[unit] ?? "position";
  return end > start ? `${name}s ${start}–${end}` : `${name} ${start}`;
}
