import { type Command, InvalidArgumentError } from 'commander'
import { type RelationshipView } from '../../federation/api.ts'
import { readMoment } from './spans.ts'

/** Owner data as options give it. */
export interface OwnerOptions {
  readonly contact?: string
  readonly note?: string
  readonly label?: ReadonlyMap<string, string | null>
  readonly reviewAt?: string
  readonly expiresAt?: string
}

/** Adds the options of owner data to a command. */
export function withOwnerOptions(command: Command): Command {
  return command
    .option('--note <text>', 'for people; empty takes it away')
    .option('--contact <text>', 'whom to call about this peer; empty takes it away')
    .option('--label <key=value>', 'may be repeated; key- takes one away', readLabel)
    .option('--review-at <time>', 'when to look at it again: a date or an RFC 3339 time', readTime)
    .option('--expires-at <time>', 'when it is terminated; empty: never', readTime)
}

/** Owner data for the body that makes a relationship. */
export function newOwnerBody({ label, ...options }: OwnerOptions) {
  const { contact, note, reviewAt, expiresAt } = options
  const labels = label === undefined ? undefined : Object.fromEntries(label)
  return { contact, note, labels, reviewAt, expiresAt }
}

/** Owner data for the body that changes one: empty text takes a value away. */
export function changedOwnerBody(options: OwnerOptions) {
  const { labels, ...texts } = newOwnerBody(options)
  return {
    contact: nullIfEmpty(texts.contact),
    note: nullIfEmpty(texts.note),
    reviewAt: nullIfEmpty(texts.reviewAt),
    expiresAt: nullIfEmpty(texts.expiresAt),
    labels,
  }
}

/** Owner data as lines of a relationship on a terminal. */
export function shownOwnerData(view: RelationshipView): [string, string][] {
  const labels = Object.entries(view.labels).map(([key, value]) => `${key}=${value}`)
  return [
    ['contact', view.contact ?? ''],
    ['note', view.note ?? ''],
    ['labels', labels.join(', ')],
    ['review at', view.reviewAt ?? ''],
    ['expires at', view.expiresAt ?? ''],
  ]
}

function nullIfEmpty(text: string | undefined): string | null | undefined {
  return text === '' ? null : text
}

/** Reads one more `key=value`, or `key-`, which takes it away. */
export function readLabel(
  text: string,
  before: ReadonlyMap<string, string | null> = new Map(),
): ReadonlyMap<string, string | null> {
  const equals = text.indexOf('=')
  if (equals > 0) return new Map([...before, [text.slice(0, equals), text.slice(equals + 1)]])
  if (equals === -1 && text.endsWith('-')) return new Map([...before, [text.slice(0, -1), null]])
  throw new InvalidArgumentError('wanted KEY=VALUE, or KEY- to take it away')
}

function readTime(text: string): string {
  return text === '' ? text : readMoment(text)
}
