import type { KeyObject } from 'node:crypto'
import type { Db } from '../db/schema.ts'
import { GENESIS, chainHash, isSignedLink } from './chain.ts'
import { type RecordFields, fieldsOf } from './record.ts'
import {
  type AuditLink,
  type SealedRecord,
  findLinks,
  findSealedRecords,
  findTail,
} from './store.ts'

/** What can be wrong with the log. */
export const FLAWS = [
  'record-missing',
  'record-changed',
  'columns-changed',
  'link-missing',
  'link-changed',
  'tail-missing',
  'head-differs',
] as const

/** One of {@link FLAWS}. */
export type Flaw = (typeof FLAWS)[number]

/** The first thing wrong with the log. */
export interface BrokenRecord {
  readonly n: bigint
  readonly flaw: Flaw
  readonly detail: string
}

/** What a check of the log found. */
export interface Verdict {
  /** Records whose place in the chain was proven, counted from the first. */
  readonly verified: bigint
  /** The last record proven. */
  readonly head: { readonly n: bigint; readonly hash: Uint8Array } | undefined
  /** Records committed and not yet numbered. */
  readonly open: bigint
  readonly broken: BrokenRecord | undefined
}

/** What to check against. */
export interface VerifyOptions {
  readonly publicKey: KeyObject
  /** A place in the log that was written down elsewhere; without it a tail that was cut off cleanly does not show. */
  readonly head?: { readonly n: bigint; readonly hash: Uint8Array } | undefined
}

/** Records read at a time. */
const PAGE = 500

interface Progress {
  n: bigint
  hash: Uint8Array
  linked: bigint
}

/**
 * Checks the whole log on its stored bytes and names the first record that is broken.
 *
 * Every number from 1 on must be there, every hash must follow from the one before and the record's exact
 * bytes, the columns must say what the bytes say, and every stretch must end in a link that the audit key
 * signed. Records sealed while this runs are left to the next check.
 */
export async function verifyLog(db: Db, options: VerifyOptions): Promise<Verdict> {
  const tail = await findTail(db)
  const upto = max(tail.record ?? 0n, tail.link ?? 0n)
  const progress: Progress = { n: 0n, hash: GENESIS, linked: 0n }
  let broken: BrokenRecord | undefined
  while (broken === undefined && progress.n < upto) {
    broken = await verifyPage(db, { progress, upto, options })
  }
  broken ??= checkEnd(progress, options)
  const head = progress.n === 0n ? undefined : { n: progress.n, hash: progress.hash }
  return { verified: progress.n, head, open: tail.open, broken }
}

interface PageOptions {
  readonly progress: Progress
  readonly upto: bigint
  readonly options: VerifyOptions
}

async function verifyPage(
  db: Db,
  { progress, upto, options }: PageOptions,
): Promise<BrokenRecord | undefined> {
  const after = progress.n
  const records = await findSealedRecords(db, { after, upto, limit: PAGE })
  const last = records.at(-1)?.n
  if (last === undefined) return lostTail(after, upto)
  const links = await findLinks(db, { after, upto: last })
  const linkAt = new Map(links.map((link) => [link.upto_n, link]))
  for (const record of records) {
    const broken =
      checkRecord(record, progress) ??
      checkLink(linkAt.get(record.n), progress, options) ??
      checkHead(progress, options)
    if (broken !== undefined) return broken
  }
  return undefined
}

function lostTail(after: bigint, upto: bigint): BrokenRecord {
  const n = after + 1n
  return {
    n,
    flaw: 'tail-missing',
    detail: `records ${n} to ${upto} are gone, although a signed link reaches ${upto}`,
  }
}

/** Moves `progress` on by one record, or says why the record does not follow. */
function checkRecord(record: SealedRecord, progress: Progress): BrokenRecord | undefined {
  const n = progress.n + 1n
  if (record.n !== n) {
    return { n, flaw: 'record-missing', detail: `record ${n} is gone; the next one is ${record.n}` }
  }
  const hash = chainHash(progress.hash, record.body)
  if (record.hash === null || !equal(hash, record.hash)) {
    return {
      n,
      flaw: 'record-changed',
      detail: `record ${n} was changed or exchanged: its bytes do not give its hash`,
    }
  }
  const column = changedColumn(record)
  if (column !== undefined) {
    return {
      n,
      flaw: 'columns-changed',
      detail: `record ${n} was changed: column "${column}" differs from the record's bytes`,
    }
  }
  progress.n = n
  progress.hash = hash
  return undefined
}

function changedColumn(record: SealedRecord): string | undefined {
  const fields = fieldsOf(record.body)
  if (fields === undefined) return 'body'
  const columns: RecordFields = {
    at: record.at.toISOString(),
    mesh: record.mesh_id,
    actor: record.actor,
    action: record.action,
    object: record.object,
  }
  const names = ['at', 'mesh', 'actor', 'action', 'object'] as const
  return names.find((name) => columns[name] !== fields[name])
}

function checkLink(
  link: AuditLink | undefined,
  progress: Progress,
  { publicKey }: VerifyOptions,
): BrokenRecord | undefined {
  if (link === undefined) return undefined
  const { n } = progress
  if (!equal(link.hash, progress.hash)) {
    return { n, flaw: 'link-changed', detail: `the link at ${n} has another hash than record ${n}` }
  }
  if (!isSignedLink(link, publicKey)) {
    return { n, flaw: 'link-changed', detail: `the link at ${n} is not signed by the audit key` }
  }
  progress.linked = n
  return undefined
}

function checkHead(progress: Progress, { head }: VerifyOptions): BrokenRecord | undefined {
  if (head === undefined || head.n !== progress.n || equal(head.hash, progress.hash)) {
    return undefined
  }
  return {
    n: progress.n,
    flaw: 'head-differs',
    detail: `record ${progress.n} has another hash than the head that was given: the log was rewritten`,
  }
}

/** The last stretch must be signed, and the log must reach the head that was given. */
function checkEnd(progress: Progress, { head }: VerifyOptions): BrokenRecord | undefined {
  if (progress.linked < progress.n) {
    const n = progress.linked + 1n
    const detail = `records ${n} to ${progress.n} have numbers, and no signed link covers them`
    return { n, flaw: 'link-missing', detail }
  }
  if (head === undefined || head.n <= progress.n) return undefined
  return {
    n: progress.n + 1n,
    flaw: 'tail-missing',
    detail: `the log ends at ${progress.n}, and the head that was given is ${head.n}: its tail was cut off`,
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
