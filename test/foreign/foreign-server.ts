/**
 * A server that is not ours, with the contract as first published. By the request's `agent_id`:
 * `failing` is FAILED_PRECONDITION with an ErrorInfo, of a stream after its chunks; `late` is DEADLINE_EXCEEDED at once; `timed`
 * answers how many milliseconds are left; `waiting` never ends by itself; `witness` answers when the server has seen the end of
 * the waiting task that `content` names. Any other says the content back, a word a chunk, a turn with an exclamation mark. Metadata
 * `x-ask` and `x-ask-bin` come back as headers, and as trailers `x-after` and `x-after-bin`.
 */
export interface ForeignServer {
  readonly url: string;
  close(): void;
}
