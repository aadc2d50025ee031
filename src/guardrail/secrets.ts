/**
 * A table of our own: @secretlint/secretlint-rule-preset-recommend 12.0.0 is quick enough, but asynchronous, and of 22 kinds tried in a sentence it missed
 * 11 by default: JWTs and the keys of AWS, Google, Stripe, Azure, DigitalOcean, PyPI, Hugging Face, Twilio, Telegram and age.
 */

/** A place in a text that gives a secret away. */
export interface FoundSecret {
  /** What it is, for people. */
  readonly kind: string;
  readonly start: number;
  readonly end: number;
}

interface SecretKind {
  readonly kind: string;
  /** One of them is in every text that has such a secret: to look for plain strings is much quicker. Lower case where the pattern ignores case. */
  readonly hints: readonly string[];
  /** Its last group, or all of it where it has none, is the secret. */
  readonly pattern: RegExp;
  /** More that has to hold of the secret. */
  readonly isReal?: (secret: string) => boolean;
}

/** In the vendors' documented formats; those with no length documented have that of the keys that they issue. */
const secretKinds: readonly SecretKind[] = [
  // RFC 7468, RFC 4880 section 6.2, and OpenSSH's PROTOCOL.key
  {
    kind: "private key",
    hints: ["PRIVATE KEY"],
    pattern:
      /-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\s*[A-Z][A-Za-z-]+: [^\n]*)*(?:(?:\\[nr]|\s)+[\w+/=]{16,})+(?:(?:(?:\\[nr]|\s)+[\w+/=]{1,76}){0,2}(?:\\[nr]|\s)*-----END [A-Z0-9 ]*-----)?/g,
    isReal: (secret) => /[A-Za-z0-9+/]{32}/.test(secret),
  },
  // RFC 7519, RFC 7515 section 3.1: header and claims are JSON objects in base64url
  { kind: "JSON Web Token", hints: ["eyJ"], pattern: /\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}/g },
  // RFC 3986 section 3.2.1: user:password@host
  {
    kind: "password in a URL",
    hints: ["://"],
    pattern: /\b[a-z][a-z0-9+.-]{1,30}:\/\/[^\s:@/?#"'`]{0,128}:([^\s@/"'`<>]{3,256})(?=@[\w[])/gi,
    isReal: isNoPlaceholder,
  },
  // docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
  { kind: "AWS access key", hints: ["AKIA", "ASIA", "ABIA", "ACCA"], pattern: /\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b/g },
  // docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github
  { kind: "GitHub token", hints: ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], pattern: /\bgh[pousr]_[A-Za-z0-9]{36,255}\b/g },
  { kind: "GitHub token", hints: ["github_pat_"], pattern: /\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b/g },
  // docs.gitlab.com/security/tokens, "Token prefixes"
  { kind: "GitLab token", hints: ["gl"], pattern: /\bgl(?:pat|oas|dt|rtr?|cbt|ptt|ft|imt|agent|wt|soat|ffct)-[\w.-]{20,}/g },
  // docs.slack.dev/authentication/tokens
  { kind: "Slack token", hints: ["xox", "xapp-"], pattern: /\b(?:xox[a-z](?:\.xox[a-z])?|xapp)-\d[\w-]{18,}/g },
  {
    kind: "Slack webhook",
    hints: ["hooks.slack.com"],
    pattern: /hooks\.slack\.com\/(?:services|workflows|triggers)\/[A-Z0-9]{6,}\/[\w/-]{20,}/g,
  },
  // docs.stripe.com/keys, docs.stripe.com/webhooks
  { kind: "Stripe key", hints: ["k_live_", "k_test_"], pattern: /\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}/g },
  { kind: "Stripe webhook secret", hints: ["whsec_"], pattern: /\bwhsec_[A-Za-z0-9+/=]{32,}/g },
  // platform.openai.com/docs/api-reference/authentication; docs.claude.com/en/api/overview; openrouter.ai/docs
  {
    kind: "model provider's key",
    hints: ["sk-"],
    pattern: /\bsk-(?:(?:proj|svcacct|admin|ant-[a-z]+\d{2}|or-v1)-[\w-]{40,}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})/g,
  },
  // console.groq.com/docs, docs.x.ai, docs.perplexity.ai, replicate.com/docs, huggingface.co/docs/hub/security-tokens
  { kind: "model provider's key", hints: ["gsk_", "xai-", "pplx-"], pattern: /\b(?:gsk_|xai-|pplx-)[A-Za-z0-9]{40,}/g },
  { kind: "model provider's key", hints: ["r8_", "hf_"], pattern: /\b(?:r8_[A-Za-z0-9]{37}|hf_[A-Za-z0-9]{34,})\b/g },
  // cloud.google.com/docs/authentication/api-keys, developers.google.com/identity/protocols/oauth2
  { kind: "Google API key", hints: ["AIza"], pattern: /\bAIza[\w-]{35}(?![\w-])/g },
  { kind: "Google OAuth secret", hints: ["GOCSPX-", "ya29."], pattern: /\b(?:GOCSPX-[\w-]{28}|ya29\.[\w-]{30,})/g },
  // learn.microsoft.com: storage account keys (64 bytes), shared access keys (32), Entra client secrets
  { kind: "Azure key", hints: ["Key="], pattern: /\b(?:Account|SharedAccess)Key=([A-Za-z0-9+/]{43,86}={1,2})/g },
  { kind: "Azure signature", hints: ["sig="], pattern: /\bsig=([A-Za-z0-9%+/]{43,}(?:=|%3D))/gi },
  { kind: "Entra client secret", hints: ["Q~"], pattern: /(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])/g },
  // docs.npmjs.com/about-access-tokens, pypi.org/help/#apitoken, guides.rubygems.org, docs.docker.com
  { kind: "npm token", hints: ["npm_"], pattern: /\bnpm_[A-Za-z0-9]{36}\b/g },
  { kind: "PyPI token", hints: ["pypi-"], pattern: /\bpypi-AgE[\w-]{50,}/g },
  { kind: "RubyGems key", hints: ["rubygems_"], pattern: /\brubygems_[0-9a-f]{48}\b/g },
  { kind: "Docker token", hints: ["dckr_"], pattern: /\bdckr_(?:pat|oat)_[\w-]{27,}/g },
  // www.twilio.com/docs/sendgrid, documentation.mailgun.com, mailchimp.com/developer, www.twilio.com/docs/iam/api-keys
  { kind: "SendGrid key", hints: ["SG."], pattern: /\bSG\.[\w-]{22}\.[\w-]{43}(?![\w-])/g },
  { kind: "Mailgun key", hints: ["key-"], pattern: /\bkey-[0-9a-f]{32}\b/g },
  { kind: "Mailchimp key", hints: ["-us"], pattern: /\b[0-9a-f]{32}-us\d{1,2}\b/g },
  { kind: "Twilio key", hints: ["SK"], pattern: /\bSK[0-9a-f]{32}\b/g },
  // docs.digitalocean.com, devcenter.heroku.com, docs.netlify.com, supabase.com/docs, planetscale.com/docs, docs.databricks.com, docs.doppler.com
  { kind: "DigitalOcean token", hints: ["_v1_"], pattern: /\bdo[opr]_v1_[0-9a-f]{64}\b/g },
  { kind: "Heroku key", hints: ["HRKU-"], pattern: /\bHRKU-[\w-]{36,}/g },
  { kind: "Netlify token", hints: ["nfp_"], pattern: /\bnfp_[A-Za-z0-9]{36,}\b/g },
  { kind: "Supabase key", hints: ["sbp_", "sb_secret_"], pattern: /\b(?:sbp_[0-9a-f]{40}|sb_secret_[\w-]{20,})/g },
  { kind: "PlanetScale secret", hints: ["pscale_"], pattern: /\bpscale_(?:tkn|pw|oauth)_[\w.=-]{32,}/g },
  { kind: "Databricks token", hints: ["dapi"], pattern: /\bdapi[0-9a-f]{32}(?:-\d)?\b/g },
  {
    kind: "Doppler token",
    hints: ["dp."],
    pattern: /\bdp\.(?:pt|ct|st|sa|scim|audit)\.(?:[\w-]{1,35}\.)?[A-Za-z0-9]{40,44}\b/g,
  },
  // linear.app/developers, developers.notion.com, developers.figma.com, learning.postman.com, docs.newrelic.com, grafana.com/docs, docs.sentry.io
  { kind: "Linear key", hints: ["lin_api_"], pattern: /\blin_api_[A-Za-z0-9]{40}\b/g },
  { kind: "Notion token", hints: ["ntn_", "secret_"], pattern: /\b(?:ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43})\b/g },
  { kind: "Figma token", hints: ["figd_"], pattern: /\bfigd_[\w-]{40,}/g },
  { kind: "Postman key", hints: ["PMAK-"], pattern: /\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}\b/g },
  { kind: "New Relic key", hints: ["NRAK-"], pattern: /\bNRAK-[A-Z0-9]{27}\b/g },
  {
    kind: "Grafana token",
    hints: ["glsa_", "glc_"],
    pattern: /\b(?:glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/]{32,})/g,
  },
  { kind: "Sentry token", hints: ["sntry"], pattern: /\b(?:sntrys_eyJ[\w=+/-]{40,}|sntryu_[0-9a-f]{64})/g },
  // shopify.dev/docs/apps/build/authentication-authorization, developer.squareup.com, developer.atlassian.com
  { kind: "Shopify token", hints: ["shp"], pattern: /\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}\b/g },
  { kind: "Square token", hints: ["sq0"], pattern: /\bsq0(?:atp|csp)-[\w-]{22,43}/g },
  { kind: "Atlassian token", hints: ["ATATT3"], pattern: /\bATATT3[\w=-]{60,}/g },
  // core.telegram.org/bots/api#authorizing-your-bot, discord.com/developers/docs/reference#authentication
  { kind: "Telegram token", hints: [":AA"], pattern: /\b\d{8,10}:AA[\w-]{33}(?![\w-])/g },
  { kind: "Discord token", hints: ["."], pattern: /(?<![\w.-])[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])/g },
  {
    kind: "Discord webhook",
    hints: ["/api/webhooks/"],
    pattern: /discord(?:app)?\.com\/api\/webhooks\/\d{17,20}\/[\w-]{60,}/g,
  },
  // developer.hashicorp.com (Vault, HCP Terraform), github.com/C2SP/C2SP/blob/main/age.md, developer.1password.com
  { kind: "Vault token", hints: ["hvs.", "hvb.", "hvr."], pattern: /\bhv[sbr]\.[\w-]{24,}/g },
  { kind: "Terraform token", hints: [".atlasv1."], pattern: /\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}/g },
  { kind: "age key", hints: ["AGE-SECRET-KEY-1"], pattern: /\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b/g },
  { kind: "1Password token", hints: ["ops_eyJ"], pattern: /\bops_eyJ[\w=+/-]{80,}/g },
  // RFC 6750 section 2.1, RFC 7617
  {
    kind: "authorization header",
    hints: ["bearer ", "basic "],
    pattern: /\bauthorization["']?\s*[:=]\s*["']?(?:bearer|basic)\s+([\w.~+/=-]{12,})/gi,
    isReal: looksRandom,
  },
  // names that programs give to them, in assignments, JSON, YAML, and connection strings of ADO.NET, ODBC and libpq
  {
    kind: "secret in an assignment",
    hints: ["key", "secret", "token", "passw", "pwd"],
    pattern:
      /(?:api[_-]?key|access[_-]?key|secret[_-]?key|account[_-]?key|private[_-]?key|secret|token|passw(?:or)?d|pwd)["'`]?\s{0,3}(?::=|=>|[:=])\s{0,3}["'`]?([^\s"'`;,&)}\]]{8,256})/gi,
    isReal: looksRandom,
  },
];

const foldedKinds = new Set(secretKinds.filter(({ pattern }) => pattern.ignoreCase));

/** The secrets in a text, in order and apart from each other. */
export function findSecrets(text: string): FoundSecret[] {
  const folded = text.toLowerCase();
  const found: FoundSecret[] = [];
  for (const each of secretKinds) {
    const where = foldedKinds.has(each) ? folded : text;
    if (!each.hints.some((hint) => where.includes(hint))) continue;
    for (const match of text.matchAll(each.pattern)) {
      const secret = match[1] ?? match[0];
      if (!(each.isReal ?? isNoPlaceholder)(secret)) continue;
      const start = match.index + match[0].lastIndexOf(secret);
      found.push({ kind: each.kind, start, end: start + secret.length });
    }
  }
  found.sort((one, other) => one.start - other.start || other.end - one.end);
  return apart(found);
}

/** Of those that overlap the first one stays, and is as long as they are together. */
function apart(found: readonly FoundSecret[]): FoundSecret[] {
  const kept: FoundSecret[] = [];
  for (const each of found) {
    const last = kept.at(-1);
    if (last === undefined || each.start >= last.end) kept.push(each);
    else if (each.end > last.end) kept[kept.length - 1] = { ...last, end: each.end };
  }
  return kept;
}

/** What documentation writes where a secret goes. */
const placeholder =
  /EXAMPLE|example|YOUR|[Yy]our|xxxx|XXXX|\*\*\*|\.\.\.|…|^<|^\{\w*\}?$|^[$%]\w+$|[$]\{|\{\{|0123456789|1234567890|abcdefgh|ABCDEFGH|(.)\1{7}|placeholder|PLACEHOLDER|redacted|REDACTED|[Cc]hange_?[Mm]e|CHANGE_?ME|replace|REPLACE/;
const commonWord = /^(?:user(?:name)?|pass(?:word)?|passwd|pwd|secret|token)$/i;
/** A long token has every short word in it somewhere; a placeholder shows sooner. */
const placeholderChars = 64;

function isNoPlaceholder(secret: string): boolean {
  return !placeholder.test(secret.slice(0, placeholderChars)) && !commonWord.test(secret);
}

/** Shannon's entropy: English words have up to 3.2 bits a character, names in programs up to 3.8, and 32 random letters and digits 4.3. */
const minBitsPerChar = 2.9;
const randomBitsPerChar = 4;

/** True for what nobody would write as a word, a path or a name in a program: letters and digits mixed. */
function looksRandom(secret: string): boolean {
  if (!isNoPlaceholder(secret) || !/\d/.test(secret) || !/[A-Za-z]/.test(secret) || named.test(secret)) return false;
  const bits = bitsPerChar(secret);
  const isMixed = (secret.match(/\d|[^\w.]/g)?.length ?? 0) > 1;
  return isMixed && !path.test(secret) ? bits >= minBitsPerChar : bits >= randomBitsPerChar;
}

const path = /^[.~]{0,2}\//;

/** URLs and files, what a program reads elsewhere or calls, UUIDs. */
const named =
  /^https?:|^[<{($%]|^[\w.]+[([]|^(?:process|import|os|env|config|self|this|settings)\.|\.(?:env|[a-z]{2,4})$|^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/i;

function bitsPerChar(text: string): number {
  const counts = new Map<string, number>();
  for (const char of text) counts.set(char, (counts.get(char) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}
