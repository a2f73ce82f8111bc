import { type Test } from 'tap'
import { startTestService, type TestService } from './service.ts'
import { until } from './until.ts'
import { testFolder } from './test-folder.ts'

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
  const folder = testFolder(t, ['acme', 'globex'])
  const acme = await makeSide(t, { folder, mesh: 'acme', peer: 'globex', ...settings })
  const globex = await makeSide(t, { folder, mesh: 'globex', peer: 'acme', ...settings })
  await federate(acme, globex)
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
    ENTENTE_EGRESS_ALLOW: 'localhost,127.0.0.0/8,::1/128',
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
  const wish = { for: `${theirs.mesh}.example`, autoApprove: true }
  const made = await ours.service.admin('POST', `/meshes/${ours.mesh}/invites`, wish)
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  const { invite } = made.body
  const path = `/meshes/${theirs.mesh}/invites/accept`
  const accepted = await theirs.service.admin('POST', path, { invite })
  if (accepted.status >= 300) throw new Error(JSON.stringify(accepted.body))
}
