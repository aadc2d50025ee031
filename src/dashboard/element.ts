/**
 * The one element of the page that the selector finds.
 *
 * @throws Error when there is none, or it is of another type: the page and its script do not fit.
 */
export function find<T extends Element>(selector: string, type: new () => T): T {
  const found = document.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} "${selector}"`);
  return found;
}

/** A new element. `text` is set as text: what comes from the server is never read as HTML. */
export function element<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, className: string, text = "") {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  return created;
}
