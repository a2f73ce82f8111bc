import { type FieldError, quoted } from '../errors.ts'

/** Labels of a service by key; look a key up with {@link labelOf}, since `constructor` is a legal one. */
export type Labels = Readonly<Record<string, string>>

/** Most labels of one service. */
export const MAX_LABELS = 64
/** Longest value. */
export const MAX_LABEL_VALUE = 63

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/
const PREFIX = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/

/** The value of a label, or undefined without one. */
export function labelOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined
}

/** Why a text is no label key (Kubernetes: labels, "Syntax and character set"), or undefined when it is one. */
export function labelKeyFault(key: string): string | undefined {
  const slash = key.indexOf('/')
  const prefix = slash < 0 ? undefined : key.slice(0, slash)
  if (prefix !== undefined && (prefix.length > 253 || !PREFIX.test(prefix))) {
    return `label key ${quoted(key)} has a prefix that is no DNS name in lower case`
  }
  if (NAME.test(key.slice(slash + 1))) return undefined
  return `label key ${quoted(key)} must be 1 to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit`
}

/** Why a text is no label value, or undefined when it is one; empty is one. */
export function labelValueFault(value: string): string | undefined {
  if (value === '' || NAME.test(value)) return undefined
  return `label value ${quoted(value)} must be at most 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit`
}

/** What is wrong with labels, one field error each. */
export function labelErrors(labels: Labels): FieldError[] {
  const entries = Object.entries(labels)
  if (entries.length > MAX_LABELS) {
    const detail = `a service has at most ${MAX_LABELS} labels, found ${entries.length}`
    return [{ in: 'body', pointer: '/labels', detail }]
  }
  return entries.flatMap(([key, value]) => {
    const detail = labelKeyFault(key) ?? labelValueFault(value)
    if (detail === undefined) return []
    const member = key.replaceAll('~', '~0').replaceAll('/', '~1')
    return [{ in: 'body' as const, pointer: `/labels/${member}`, detail }]
  })
}

/** Labels in the order of their keys, so that equal ones are written the same. */
export function sortedLabels(labels: Labels): Labels {
  const entries = Object.entries(labels)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** Labels after a change (RFC 7396): null takes one away, what is not named stays. */
export function mergeLabels(
  before: Labels,
  change: Readonly<Record<string, string | null>>,
): Labels {
  const merged = new Map<string, string>(Object.entries(before))
  for (const [key, value] of Object.entries(change)) {
    if (value === null) merged.delete(key)
    else merged.set(key, value)
  }
  return Object.fromEntries(merged)
}
