import { setTimeout as delay } from 'node:timers/promises'
import { type Test } from 'tap'
import { bumpChange } from '../../src/db/changes.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { parseMeshId } from '../../src/db/ids.ts'
import { exchangeId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { startTestService, type TestService } from './service.ts'

/** One of two services that federate, with its one mesh. */
export interface Side {
  readonly service: TestService
  readonly mesh: string
  /** Its name for the other side. */
  readonly peer: string
}

/** Two services with one mesh each, `acme` and `globex`, that know each other as Entente peers. */
export interface Pair {
  readonly acme: Side
  readonly globex: Side
}

/** Starts both, federates them over https_spiffe and lets each pin the other's exchange identity. */
export async function ententePair(
  t: Pick<Test, 'teardown' | 'testdir'>,
  settings: { readonly hintSeconds?: number; readonly pollMinSeconds?: number } = {},
): Promise<Pair> {
  const folder = t.testdir({ acme: {}, globex: {} })
  const acme = await makeSide(t, { folder, mesh: 'acme', peer: 'globex', ...settings })
  const globex = await makeSide(t, { folder, mesh: 'globex', peer: 'acme', ...settings })
  await federate(acme, globex)
  await federate(globex, acme)
  for (const side of [acme, globex]) {
    await until(
      () => relationship(side),
      ({ state }) => state === 'active',
    )
  }
  return { acme, globex }
}

/** The relationship of a side with the other, as its API shows it. */
export const relationship = async ({ service, mesh, peer }: Side) =>
  (await service.admin('GET', `/meshes/${mesh}/relationships/${peer}`)).body

/** An act on the relationship of a side with the other. */
export const act = async (
  { service, mesh, peer }: Side,
  name: string,
  body?: object,
): Promise<{ status: number; body: unknown }> =>
  service.admin('POST', `/meshes/${mesh}/relationships/${peer}/${name}`, body, { 'if-match': '*' })

/** Asks again every 20 ms until the answer is the one that is waited for, at most 20 s; answers with the last one. */
export const until = async <T>(
  ask: () => Promise<T>,
  isDone: (answer: T) => boolean,
): Promise<T> => {
  const deadline = performance.now() + 20_000
  for (;;) {
    const answer = await ask()
    if (isDone(answer) || performance.now() > deadline) return answer
    await delay(20)
  }
}

async function makeSide(
  t: Pick<Test, 'teardown' | 'testdir'>,
  about: {
    folder: string
    mesh: string
    peer: string
    hintSeconds?: number
    pollMinSeconds?: number
  },
): Promise<Side> {
  const { folder, mesh, peer, hintSeconds = 300, pollMinSeconds = 60 } = about
  const service = await startTestService(t, {
    ENTENTE_DATA_DIR: `${folder}/${mesh}`,
    ENTENTE_POLL_MIN_SECONDS: String(pollMinSeconds),
    ENTENTE_EGRESS_ALLOW: 'localhost',
  })
  const made = await service.admin('POST', '/meshes', {
    meshId: mesh,
    trustDomain: `${mesh}.example`,
    settings: { hintSeconds },
  })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  return { service, mesh, peer }
}

async function federate(ours: Side, theirs: Side): Promise<void> {
  const { service, mesh } = ours
  const domain = await handOut(theirs)
  const body = { name: theirs.mesh, domains: [domain] }
  const made = await service.admin('POST', `/meshes/${mesh}/relationships`, body)
  if (made.status !== 201)
    throw new Error(JSON.stringify(made.body) + service.lines.slice(-4).join(''))
  const { db } = service.service.base.database
  await inTransaction(db, async (trx) => {
    await trx
      .updateTable('relationship')
      .set({
        their_consent: 'given',
        their_exchange_id: exchangeId(parseTrustDomain(domain.trustDomain)),
        their_exchange_url: `${theirs.service.publicUrl}/federation/v1`,
      })
      .where('name', '=', theirs.mesh)
      .execute()
    await bumpChange(trx, parseMeshId(mesh), 'relationship')
  })
}

async function handOut({ service, mesh }: Side) {
  const shown = await service.admin('GET', `/meshes/${mesh}`)
  const [domain] = shown.body.trustDomains
  const { body } = await service.admin('GET', `/meshes/${mesh}/bundle`)
  return {
    trustDomain: domain.name as string,
    source: domain.profile,
    endpointUrl: domain.bundleUrl,
    endpointSpiffeId: domain.endpointSpiffeId,
    bundle: typeof body.document === 'string' ? body.document : JSON.stringify(body),
  }
}
