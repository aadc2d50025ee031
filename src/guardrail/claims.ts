/** A sentence that claims something, and where it stands in its text. */
export interface Claim {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/**
 * The sentences of a text that claim something. It is read as Markdown, and sentences are those of Unicode (UAX 29) save after abbreviations.
 *
 * No claims are: questions; headings, table rules, code blocks, lines that only introduce what follows (they end with a colon); greetings, thanks,
 * offers and what else is said to the reader alone (English ones are known); and what has fewer than two words, unless it has a number.
 */
export function claimsOf(text: string): Claim[] {
  return blocksOf(text).flatMap(({ start, end }) => {
    const block = text.slice(start, end).replaceAll("\n", " "); // lines that go on are one; positions stay as they are
    return sentencesOf(block).flatMap((sentence) => {
      const said = block.slice(sentence.start, sentence.end);
      if (!isClaim(said)) return [];
      return [{ text: said.trim(), start: start + sentence.start, end: start + sentence.end }];
    });
  });
}

/** Where paragraphs end: after blank lines. */
export const paragraphEnd = /\n[^\S\n]*\n\s*/g;

interface Stretch {
  readonly start: number;
  readonly end: number;
}

const fence = /^\s*(?:```|~~~)/;
const blank = /^\s*$/;
/** Makes a heading of the lines before. Dashes do so too, but are more often meant as a rule. */
const underline = /^\s*=+\s*$/;
/** Headings, rules, and rows of tables that only rule. */
const rule = /^\s*(?:#{1,6}\s|[-=*_]{3,}\s*$|\|?[\s:|-]+\|[\s:|-]*$)/;
const item = /^\s*(?:[-*+•]|\d{1,3}[.)])\s+|^\s*\||^\s*>/;

/** The stretches of text whose lines belong together: paragraphs, and the items of lists. */
function blocksOf(text: string): Stretch[] {
  const blocks: { start: number; end: number }[] = [];
  let isCode = false;
  let isOpen = false;
  let start = 0;
  for (const line of text.split("\n")) {
    const end = start + line.length;
    const isFence = fence.test(line);
    if (isFence) isCode = !isCode;
    const marker = item.exec(line)?.[0].length ?? 0;
    const last = blocks.at(-1);
    if (isOpen && underline.test(line)) blocks.pop();
    if (isFence || isCode || blank.test(line) || rule.test(line)) isOpen = false;
    else if (isOpen && marker === 0 && last !== undefined) last.end = end;
    else {
      blocks.push({ start: start + marker, end });
      isOpen = true;
    }
    start = end + 1;
  }
  return blocks;
}

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

/** UAX 29 ends a sentence after these when a capital letter follows. */
const abbreviated =
  /(?:^|[\s("'])(?:\p{Lu}|Dr|Mr|Mrs|Ms|Prof|St|Sr|Jr|Gen|Sen|Rep|No|Nos|Fig|Figs|Sec|Ch|Vol|Ed|Inc|Ltd|Corp|Co|vs|approx|ca|cf|e\.g|i\.e|al|a\.m|p\.m|U\.S|U\.K)\.\s*$/u;

function sentencesOf(block: string): Stretch[] {
  if (!/[.!?…。！？।؟]\P{L}*\p{L}/u.test(block)) return [{ start: 0, end: block.length }]; // one sentence, as most items of lists are
  const sentences: { start: number; end: number }[] = [];
  let isOpen = false;
  for (const { segment, index } of segmenter.segment(block)) {
    const last = sentences.at(-1);
    if (isOpen && last !== undefined) last.end = index + segment.length;
    else sentences.push({ start: index, end: index + segment.length });
    isOpen = abbreviated.test(segment.slice(-16));
  }
  return sentences;
}

const question = /[?？؟]["'”’)\]*_\s]*$/;
const introduction = /[:：][*_\s]*$/;
const heading = /^\s*\*\*[^*]+\*\*\s*$/;
const word = /\p{L}[\p{L}\p{M}'’-]*/gu;
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]{3}/u;

/** Sentences that are nothing else: a greeting, with whom it greets, thanks, assent. */
const courtesy = new RegExp(
  `^(?:${[
    "(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings|welcome)(?: there| all| everyone|[, ]+[A-Z][\\p{L}'-]*){0,3}",
    "(?:many thanks|thanks|thank you)(?: (?:very|so) much)?(?: for (?:asking|waiting|your (?:question|patience|message|help)))?",
    "you'?re welcome|cheers|(?:best|kind|warm) (?:regards|wishes)|regards|sincerely",
    "(?:sure|certainly|absolutely|of course|okay|ok|all right|alright|no problem|(?:great|good) question)(?: thing)?",
    "(?:i'm |i am )?(?:very |so )?sorry(?: about that)?|i apologi[sz]e",
  ].join("|")})[\\s!.,…]*$`,
  "iu",
);
/** Sentences of the speaker and the talk; what comes after a colon, a dash or a "but" is said of something else. */
const address = new RegExp(
  `^(?:(?:i'm sorry|i am sorry|sorry|unfortunately|please|if you (?:want|need|have|would like|like)[^,]*),? (?:but )?)?(?:${[
    "(?:i )?hope (?:this|that|it) (?:helps|is)|let me know|(?:just )?(?:tell|ask) me|feel free|(?:do not|don't) hesitate",
    "here(?:'s| is| are) (?:what|the|a|my|your|some)|below (?:is|are) (?:what|the|a|my|your|some)",
    "i (?:do not|don't) know|i (?:could not|couldn't|cannot|can't|can not) (?:find|say|tell|answer)",
    "(?:i'll|i will|i can|i would|i'd) (?:gladly |also )?(?:be (?:happy|glad)|help|look|check)|let me (?:look|check|see)",
  ].join("|")})(?![\\p{L}\\p{N}])`,
  "iu",
);
const saysMore = /[:;]\s*\S|\s[-–—]|—|,?\s(?:but|however|yet|although|because|since|as)\s/i;

/** True for what is said to the reader alone. */
function isTalk(sentence: string): boolean {
  const said = sentence.replace(/[‘’]/g, "'").replace(/^[\s*_"“(]+/, "");
  if (courtesy.test(said)) return true;
  const opening = address.exec(said)?.[0];
  return opening !== undefined && !saysMore.test(said.slice(opening.length));
}

function isClaim(sentence: string): boolean {
  if (question.test(sentence) || introduction.test(sentence) || heading.test(sentence)) return false;
  if (isTalk(sentence)) return false;
  if (/\p{N}/u.test(sentence)) return true;
  return (sentence.match(word)?.length ?? 0) >= 2 || unspaced.test(sentence);
}
