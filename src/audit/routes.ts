import type { FastifyRequest } from 'fastify'
import type { Db } from '../db/schema.ts'
import type { App } from '../http/listener.ts'
import { decodeHashCursor, pageOf, pageSchema } from '../http/page.ts'
import {
  AuditQuery,
  AuditRecordBody,
  type AuditRecordView,
  VerdictBody,
  VerifyQuery,
} from './api.ts'
import { type AuditKey, auditPublicPem } from './audit-key.ts'
import { headText, parseHead } from './chain.ts'
import { fieldsOf } from './record.ts'
import { type SealedRecord, findRecords } from './store.ts'
import { verifyLog } from './verify.ts'

/** What the audit routes need. */
export interface AuditRoutesOptions {
  readonly db: Db
  readonly key: AuditKey
  /** The meshes whose records a reader sees; undefined = all, also those of no mesh. */
  readonly meshesOf: (request: FastifyRequest) => readonly string[] | undefined
}

/** The audit log: its records by number, and a check of the whole. */
export const auditRoutes = async (app: App, options: AuditRoutesOptions): Promise<void> => {
  const { db, key, meshesOf } = options

  app.get(
    '/audit',
    {
      config: { action: 'audit.list' },
      schema: {
        tags: ['audit'],
        summary: 'List audit records by number',
        description: 'A change shows here within a second of its commit, once it has a number.',
        querystring: AuditQuery,
        response: { 200: pageSchema(AuditRecordBody) },
      },
    },
    async (request) => {
      const { limit, cursor, mesh, bytes, ...filter } = request.query
      const meshes = meshesOf(request)
      const wanted = { ...filter, meshId: mesh, meshes, behind: decodeHashCursor(cursor) }
      const rows = await findRecords(db, { ...wanted, limit: limit + 1 })
      const { items, nextCursor } = pageOf(rows, limit, (row) => [hashText(row) ?? ''])
      const view = { isNumbered: meshes === undefined, withBytes: bytes === true }
      return { items: items.map((row) => viewRecord(row, view)), nextCursor }
    },
  )

  app.get(
    '/audit/verify',
    {
      config: { action: 'audit.verify' },
      schema: {
        tags: ['audit'],
        summary: 'Check the whole audit log on its stored bytes',
        description:
          'Names the first record that is broken. Without `head` a tail that was cut off cleanly does not show.',
        querystring: VerifyQuery,
        response: { 200: VerdictBody },
      },
    },
    async (request) => {
      const { head } = request.query
      const against = head === undefined ? undefined : parseHead(head)
      const verdict = await verifyLog(db, { publicKey: key.publicKey, head: against })
      const { broken } = verdict
      return {
        ok: broken === undefined,
        verified: String(verdict.verified),
        head: verdict.head === undefined ? null : headText(verdict.head),
        unsealed: String(verdict.open),
        publicKey: auditPublicPem(key),
        broken: broken === undefined ? null : { ...broken, n: String(broken.n) },
      }
    },
  )
}

function viewRecord(
  record: SealedRecord,
  { isNumbered, withBytes }: { readonly isNumbered: boolean; readonly withBytes: boolean },
): AuditRecordView {
  return {
    n: isNumbered ? String(record.n) : null,
    at: record.at.toISOString(),
    meshId: record.mesh_id,
    actor: record.actor,
    action: record.action,
    object: record.object,
    body: fieldsOf(record.body)?.body ?? null,
    hash: hashText(record),
    ...(withBytes ? { bytes: Buffer.from(record.body).toString('utf8') } : {}),
  }
}

function hashText({ hash }: SealedRecord): string | null {
  return hash === null ? null : Buffer.from(hash).toString('hex')
}
