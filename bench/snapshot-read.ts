import { bumpObjects } from '../src/db/changes.ts'
import { inTransaction, openDatabase } from '../src/db/connect.ts'
import { type MeshId, newId, parseMeshId } from '../src/db/ids.ts'
import { migrate } from '../src/db/migrate.ts'
import { type Db } from '../src/db/schema.ts'
import { createMesh } from '../src/mesh/create-mesh.ts'
import { loadSnapshot } from '../src/policy/snapshot/load-snapshot.ts'
import { type StoredRule } from '../src/policy/rule/rule.ts'
import { type SnapshotInput, type SnapshotService } from '../src/policy/snapshot/snapshot.ts'
import { Snapshots } from '../src/policy/snapshot/snapshots.ts'
import { insertRule, updateRule } from '../src/policy/rule/rule-store.ts'
import { parseEndpointUrl } from '../src/spiffe/endpoint-profile.ts'
import { parseTrustDomain } from '../src/spiffe/trust-domain.ts'
import { type Field } from './field.ts'
import { type Figure, median, quantile, round, type Scale } from './harness.ts'
import { makeMesh, SERVICES } from './made-mesh.ts'
import { seededNumbers } from './seeded-numbers.ts'

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** Rows of one statement; each has eight parameters at most, and there may be 65,535. */
const CHUNK = 2000

/**
 * A changed rule from the commit to a snapshot that holds it, in the embedded database: the question for revisions,
 * one transaction that reads the log and the rule, the computation. The floor reads everything, as was needed before.
 */
export async function readChanges(scale: Scale, field: Field): Promise<Figure> {
  const folder = field.folder('snapshot-change')
  const database = await openDatabase({ engine: 'pglite', folder, log: quiet })
  try {
    await migrate(database.db)
    const services = scale.smoke ? SERVICES / 20 : SERVICES
    const made = makeMesh(seededNumbers(20_270_115), services)
    const mesh = scale.smoke ? { ...made, rules: made.rules.slice(0, 40) } : made
    const rules = await store(database.db, mesh)
    const whole: number[] = []
    const changed: number[] = []
    const snapshots = new Snapshots({ db: database.db, log: quiet })
    await snapshots.current(mesh.meshId)
    for (let turn = 0; turn < (scale.smoke ? 1 : scale.rounds); turn += 1) {
      whole.push(
        await timed(() => inTransaction(database.db, (trx) => loadSnapshot(trx, mesh.meshId))),
      )
      for (const rule of rules.slice(turn * 20, turn * 20 + 20)) {
        await change(database.db, mesh.meshId, rule)
        changed.push(await timed(() => snapshots.current(mesh.meshId)))
      }
    }
    return {
      bench: 'snapshot-change read',
      value: round(median(changed)),
      unit: 'ms of CPU from the commit of one rule to a snapshot that holds it',
      baseline: round(median(whole)),
      ratio: round(median(changed) / median(whole)),
      goal: 'value <= 5',
      services,
      worst: round(quantile(changed, 1)),
    }
  } finally {
    await database.close()
  }
}

/** Milliseconds of this process's CPU, which the embedded database is a part of: others use the machine too. */
async function timed(act: () => Promise<unknown>): Promise<number> {
  const begin = process.cpuUsage()
  await act()
  const { user, system } = process.cpuUsage(begin)
  return (user + system) / 1000
}

async function change(db: Db, meshId: MeshId, rule: Stored): Promise<void> {
  await inTransaction(db, async (trx) => {
    const after = { ...rule.rule, priority: rule.rule.priority + 1 }
    await updateRule(trx, meshId, { rule: after, peerIds: rule.peerIds })
    await bumpObjects(trx, meshId, [{ kind: 'rule', key: after.id }])
  })
}

interface Stored {
  readonly rule: StoredRule
  readonly peerIds: readonly string[]
}

async function store(db: Db, mesh: SnapshotInput): Promise<Stored[]> {
  const now = new Date()
  await inTransaction(db, (trx) =>
    createMesh(
      trx,
      {
        publicUrl: 'https://localhost',
        defaultSettings: {},
        hasWebCertificate: false,
        founders: [],
      },
      {
        wanted: { meshId: parseMeshId(mesh.meshId), trustDomain: parseTrustDomain('acme.example') },
        context: { actor: 'bench', now },
      },
    ),
  )
  return inTransaction(db, async (trx) => {
    const ids = new Map<string, string>()
    for (const { name } of mesh.relationships)
      ids.set(name, await storePeer(trx, mesh.meshId, name))
    await storeServices(trx, mesh)
    const stored: Stored[] = []
    for (const rule of mesh.rules) {
      const peerIds = rule.audience.relationships.map((name) => ids.get(name) ?? '')
      const one = { rule: { ...rule, id: newId(), version: 1n, createdAt: now }, peerIds }
      await insertRule(trx, mesh.meshId, one)
      stored.push(one)
    }
    return stored
  })
}

async function storeServices(trx: Db, { meshId, services }: SnapshotInput): Promise<void> {
  for (let at = 0; at < services.length; at += CHUNK) {
    const chunk = services.slice(at, at + CHUNK)
    await trx
      .insertInto('service')
      .values(chunk.map((one) => serviceRow(meshId, one)))
      .execute()
    await trx
      .insertInto('service_identity')
      .values(
        chunk.flatMap(({ namespace, name, serverIds }) =>
          serverIds.map((id) => ({ mesh_id: meshId, namespace, name, spiffe_id: id })),
        ),
      )
      .execute()
  }
}

function serviceRow(meshId: MeshId, { namespace, name, ports }: SnapshotService) {
  return {
    mesh_id: meshId,
    namespace,
    name,
    ports: JSON.stringify(ports),
    labels: '{}',
    version: 1n,
    created_at: new Date(0),
  }
}

async function storePeer(trx: Db, meshId: MeshId, name: string): Promise<string> {
  const id = newId()
  await trx
    .insertInto('relationship')
    .values({
      mesh_id: meshId,
      id,
      name,
      peer_mesh_name: null,
      our_consent: 'given',
      their_consent: 'assumed',
      state: 'active',
      change_policy: 'auto',
      hint_min_seconds: null,
      hint_max_seconds: null,
      note: null,
      created_at: new Date(0),
      activated_at: null,
      terminated_at: null,
    })
    .execute()
  await trx
    .insertInto('relationship_domain')
    .values({
      mesh_id: meshId,
      relationship_id: id,
      trust_domain: parseTrustDomain(`${name}.example`),
      source: 'https_web',
      endpoint_url: parseEndpointUrl(`https://${name}.example/bundle`),
      endpoint_spiffe_id: null,
      reader_id: null,
    })
    .execute()
  return id
}
