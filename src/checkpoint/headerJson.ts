// The JSON object at the head of a safetensors file, read more strictly than JSON.parse reads: UTF-8 only, no name
// twice in one object, whole numbers only, no `__proto__` surprises.
import { CheckpointError } from '../errors.js';

/** The members of the header in file order. Throws CheckpointError. */
export function parseHeaderJson(bytes: Uint8Array): Array<[string, unknown]> {
  const text = decodeUtf8(bytes);
  if (!text.startsWith('{')) throw new CheckpointError('its header does not begin with {.');
  let header: object;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw new CheckpointError(`its header is not JSON (${(error as Error).message.slice(0, 120)}).`, { cause: error });
  }
  checkTokens(text);
  return Object.entries(header);
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new CheckpointError('its header is not UTF-8.', { cause: error });
  }
}

/** Looks at every token of valid JSON for what JSON.parse lets pass: repeated names, numbers such as 8.0 and -1. */
function checkTokens(json: string): void {
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;
  const names: Array<Set<string> | undefined> = [];
  let last = '';
  for (const [text] of json.matchAll(token)) {
    if (text === '{') names.push(new Set());
    else if (text === '[') names.push(undefined);
    else if (text === '}' || text === ']') names.pop();
    else if (text === ':') {
      const name = JSON.parse(last) as string;
      const seen = names.at(-1)!;
      if (seen.has(name)) throw new CheckpointError(`its header names ${last} twice.`);
      seen.add(name);
    } else if (/^[-0-9]/.test(text) && !/^\d+$/.test(text)) {
      throw new CheckpointError(`its header holds the number ${text.slice(0, 40)}, not a whole one.`);
    }
    last = text;
  }
}
