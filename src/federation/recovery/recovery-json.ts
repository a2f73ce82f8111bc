import { isJsonArray, isJsonObject, type JsonObject, type JsonValue } from '../../spiffe/json.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import {
  MAX_RECOVERY_PATHS,
  parseRecovery,
  type RecoveryDraft,
  type RecoveryPath,
} from './recovery.ts'

const TEXTS = ['source', 'endpointUrl', 'endpointSpiffeId'] as const
const MEMBERS: ReadonlySet<string> = new Set([...TEXTS, 'kind', 'publicKey'])
const MAX_TEXT = 2048

/**
 * Recovery paths as a peer tells them, judged like those of an operator; absent is none. `refuse` makes the error
 * for what is not even a list of paths. Throws what {@link parseRecovery} throws.
 */
export function recoveryIn(
  value: JsonValue | undefined,
  trustDomain: TrustDomain,
  refuse: (what: string) => Error,
): RecoveryPath[] {
  if (value === undefined || value === null) return []
  if (!isJsonArray(value) || value.length > MAX_RECOVERY_PATHS) {
    throw refuse(`has a recovery that is no list of at most ${MAX_RECOVERY_PATHS} paths`)
  }
  const drafts = value.map((entry) => {
    if (!isJsonObject(entry)) throw refuse('has a recovery path that is no object')
    return draftIn(entry, refuse)
  })
  return parseRecovery(drafts, { trustDomain, at: '/recovery' })
}

function draftIn(path: JsonObject, refuse: (what: string) => Error): RecoveryDraft {
  const kind = path.get('kind')
  if (kind !== 'endpoint' && kind !== 'signed-bundle')
    throw refuse('has a recovery path of no kind')
  if ([...path.keys()].some((name) => !MEMBERS.has(name))) {
    throw refuse('has an unknown member in a recovery path')
  }
  const source = path.get('source')
  if (source !== undefined && source !== 'https_web' && source !== 'https_spiffe') {
    throw refuse('has a recovery path with an unknown profile')
  }
  const texts = Object.fromEntries(
    TEXTS.flatMap((name) => {
      const value = path.get(name)
      if (value === undefined) return []
      if (typeof value !== 'string' || value.length > MAX_TEXT)
        throw refuse(`has no usable ${name}`)
      return [[name, value]]
    }),
  )
  const key = path.get('publicKey')
  return { kind, ...texts, ...(key === undefined ? {} : { publicKey: jwkIn(key, refuse) }) }
}

function jwkIn(value: JsonValue, refuse: (what: string) => Error): Record<string, string> {
  const isJwk =
    isJsonObject(value) &&
    value.size <= 8 &&
    [...value].every(
      ([name, text]) => name.length <= 20 && typeof text === 'string' && text.length <= 200,
    )
  if (!isJwk) throw refuse('has a recovery key that is no public JWK')
  return Object.fromEntries(value) as Record<string, string>
}
