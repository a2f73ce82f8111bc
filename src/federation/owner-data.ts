import { quoted, ServiceError } from '../errors.ts'

/** What a relationship's owner writes beside it: for people and their tools, except that `expiresAt` ends it. */
export interface OwnerData {
  readonly contact: string | undefined
  readonly note: string | undefined
  readonly labels: ReadonlyMap<string, string>
  /** When somebody should look at it again. */
  readonly reviewAt: Date | undefined
  /** When it is terminated. */
  readonly expiresAt: Date | undefined
}

/** Owner data as somebody wrote it: null takes a value away, absence keeps it. */
export interface OwnerDraft {
  readonly contact?: string | null | undefined
  readonly note?: string | null | undefined
  /** Merged with those that are there. */
  readonly labels?: Readonly<Record<string, string | null>> | null | undefined
  readonly reviewAt?: string | null | undefined
  readonly expiresAt?: string | null | undefined
}

/** Most labels of one relationship. */
export const MAX_LABELS = 32

/** Longest value of a label, in UTF-16 units. */
export const MAX_LABEL_VALUE = 255

const NO_DATA: OwnerData = {
  contact: undefined,
  note: undefined,
  labels: new Map(),
  reviewAt: undefined,
  expiresAt: undefined,
}

/**
 * Owner data after a draft was laid over what is there. Throws RELATIONSHIP_INVALID for a bad label, too many of
 * them, or an `expiresAt` that is not ahead.
 */
export function mergeOwnerData(
  draft: OwnerDraft,
  { before = NO_DATA, now }: { readonly before?: OwnerData; readonly now: Date },
): OwnerData {
  const expiresAt = kept(momentOf(draft.expiresAt), before.expiresAt)
  if (expiresAt !== undefined && draft.expiresAt !== undefined && expiresAt <= now) {
    throw invalid(
      `expiresAt ${expiresAt.toISOString()} is not ahead; it is ${now.toISOString()}`,
      '/expiresAt',
      'to end the relationship now: entente federation terminate NAME',
    )
  }
  return {
    contact: kept(draft.contact, before.contact),
    note: kept(draft.note, before.note),
    labels: mergeLabels(draft.labels, before.labels),
    reviewAt: kept(momentOf(draft.reviewAt), before.reviewAt),
    expiresAt,
  }
}

/** Owner data as answers and audit records show it. */
export interface WrittenOwnerData {
  readonly contact: string | null
  readonly note: string | null
  readonly labels: Record<string, string>
  readonly reviewAt: string | null
  readonly expiresAt: string | null
}

/** Owner data as answers and audit records show it. */
export function writeOwnerData(data: OwnerData): WrittenOwnerData {
  return {
    contact: data.contact ?? null,
    note: data.note ?? null,
    labels: Object.fromEntries(data.labels),
    reviewAt: data.reviewAt?.toISOString() ?? null,
    expiresAt: data.expiresAt?.toISOString() ?? null,
  }
}

/** The value after a change: null takes it away and absence keeps it. */
export function kept<T>(wanted: T | null | undefined, before: T | undefined): T | undefined {
  return wanted === undefined ? before : (wanted ?? undefined)
}

function momentOf(text: string | null | undefined): Date | null | undefined {
  return typeof text === 'string' ? new Date(text) : text
}

function mergeLabels(
  draft: OwnerDraft['labels'],
  before: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  if (draft === undefined) return before
  if (draft === null) return new Map()
  const labels = new Map(before)
  for (const [key, value] of Object.entries(draft)) {
    if (value === null) labels.delete(key)
    else labels.set(parseLabelKey(key), parseLabelValue(key, value))
  }
  if (labels.size <= MAX_LABELS) return new Map([...labels].toSorted(byKey))
  throw invalid(`${labels.size} labels, at most ${MAX_LABELS} are kept`, '/labels')
}

function byKey([one]: readonly [string, string], [other]: readonly [string, string]): number {
  return one < other ? -1 : 1
}

const NAME = /^[a-z0-9A-Z]([-\w.]{0,61}[a-z0-9A-Z])?$/
const DNS_LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'
const PREFIX = new RegExp(`^${DNS_LABEL}(\\.${DNS_LABEL})*$`)

/** `name` or `prefix/name`, as Kubernetes has it: name of 63, prefix a DNS name. */
function parseLabelKey(key: string): string {
  const slash = key.indexOf('/')
  const prefix = slash === -1 ? undefined : key.slice(0, slash)
  const isGood = prefix === undefined || (prefix.length <= 253 && PREFIX.test(prefix))
  if (isGood && NAME.test(key.slice(slash + 1))) return key
  throw invalid(
    `label ${quoted(key)} must be NAME or PREFIX/NAME: a name of 1 to 63 letters, digits, - _ . and a DNS name as prefix`,
    '/labels',
  )
}

function parseLabelValue(key: string, value: string): string {
  if (value.length <= MAX_LABEL_VALUE) return value
  throw invalid(
    `label ${quoted(key)} has ${value.length} characters, at most ${MAX_LABEL_VALUE} are kept`,
    '/labels',
  )
}

function invalid(message: string, pointer: string, next?: string): ServiceError {
  return new ServiceError('RELATIONSHIP_INVALID', message, {
    fields: [{ in: 'body', pointer, detail: message }],
    ...(next === undefined ? {} : { next }),
  })
}
