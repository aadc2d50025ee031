/** Keeps the end of a text that grows in view, unless the reader has scrolled away from it. */
export interface Follower {
  /** Goes to the end. */
  start(): void;
  /** Runs `grow`, then goes to the end if it was in view before. */
  during(grow: () => void): void;
}

/** Pixels below the edge at which the end still counts as in view: browsers round positions when the page is zoomed. */
const tolerancePx = 8;

/** A follower of `end`, an element right behind the text, in `scroller` or in the page, whichever scrolls. */
export function createFollower(end: Element, scroller: Element): Follower {
  const start = () => end.scrollIntoView({ block: "nearest" });
  // Measured at once rather than observed: an observer tells of the reader's scrolling only after the next growth undid it.
  const isInView = () => {
    const edge = Math.min(scroller.getBoundingClientRect().bottom, window.innerHeight);
    return end.getBoundingClientRect().top <= edge + tolerancePx;
  };
  return {
    start,
    during(grow) {
      const follow = isInView();
      grow();
      if (follow) start();
    },
  };
}
