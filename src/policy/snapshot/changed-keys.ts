import { type OfferName, type ServiceName } from '../../catalog/service.ts'
import { type LoggedChange, type LogRange } from './change-log-store.ts'

/** Most lines of the log whose objects are loaded one by one; after more, everything is loaded anew. */
export const MAX_CHANGED = 500

/** Which objects changed, each once. */
export interface ChangedKeys {
  readonly services: readonly ServiceName[]
  readonly offers: readonly OfferName[]
  readonly rules: readonly string[]
}

/**
 * The objects that a part of the log names, or undefined when it does not tell all of them.
 *
 * That is so when a revision of the range is missing (the log was pruned), when one says `all`, when a kind is
 * unknown (a newer release wrote it), and when there are more lines than {@link MAX_CHANGED}: of more the reader has
 * only the first, and an object that the last revision names may be among the others.
 */
export function changedKeys(
  logged: readonly LoggedChange[],
  { after, upTo }: Pick<LogRange, 'after' | 'upTo'>,
): ChangedKeys | undefined {
  if (logged.length > MAX_CHANGED) return undefined
  const revisions = new Set(logged.map(({ revision }) => revision))
  if (BigInt(revisions.size) !== upTo - after) return undefined
  const keys = { service: new Set<string>(), offer: new Set<string>(), rule: new Set<string>() }
  for (const { kind, key } of logged) {
    if (kind !== 'service' && kind !== 'offer' && kind !== 'rule') return undefined
    keys[kind].add(key)
  }
  return {
    services: [...keys.service].map(serviceNamed),
    offers: [...keys.offer].map(offerNamed),
    rules: [...keys.rule],
  }
}

function serviceNamed(key: string): ServiceName {
  const [namespace = '', name = ''] = key.split('/')
  return { namespace, name }
}

function offerNamed(key: string): OfferName {
  const [relationship = '', namespace = '', name = ''] = key.split('/')
  return { relationship, namespace, name }
}
