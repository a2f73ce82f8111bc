import { type AuthorityView, type ChangedAuthorityView } from '../src/authority/api.ts'
import { type VerdictView } from '../src/audit/api.ts'
import { type EndedRelationshipView, type RelationshipView } from '../src/federation/api.ts'
import { type MeshView } from '../src/mesh/api.ts'
import { readCertificate, splitPem } from '../src/pki/certificate.ts'
import { type RuleView } from '../src/policy/rule/rule-api.ts'
import { call, type CallServer, type Tally, underCalls } from './calls.ts'
import { insist, type Ticks } from './print.ts'
import { type Side } from './side.ts'
import { refusalOnEitherSide } from './story-trust.ts'
import { type Sides } from './story-setup.ts'
import { until } from './wait.ts'

/** What must survive: a root's rotation, a crash, and in the end the federation's own end. */
export async function showChange(ticks: Ticks, sides: Sides, server: CallServer): Promise<void> {
  ticks.heading('Keys and machines change')
  await ticks.step("acme's root rotates under 20 calls a second, none fails", () =>
    rotate(ticks, sides, server),
  )
  await ticks.step("globex's service is killed and restarted with nothing lost", () =>
    crash(sides, server),
  )
  ticks.heading('It ends')
  await ticks.step('globex ends the federation and the next call is refused', () =>
    endIt(sides, server),
  )
}

async function rotate(
  ticks: Ticks,
  { acme, globex }: Sides,
  server: CallServer,
): Promise<string[]> {
  const [old] = await roots(acme)
  insist(old !== undefined, 'acme has no root')
  const before = await sequenceAt(globex, acme)
  const { tally, found: made } = await underCalls({ caller: acme.workload, server }, (counted) =>
    replaceRoot(ticks, { acme, old, counted }),
  )
  noneFailed(tally, 100)
  const after = await untilCaughtUp(globex, acme)
  const { ok, byRoot } = tally
  const [underOld, underNew] = [old, made].map((root) => byRoot.get(serialOf(root)) ?? 0)
  return [
    `${ok} calls, 0 failed: ${underOld} under the old root, ${underNew} under the new`,
    `globex went from sequence ${before} to ${after} by polling; nobody asked it to refresh`,
    'the old root left the bundle after the last SVID under it had ended',
  ]
}

/** Prepares a new root and watches the timer do the rest, until the old root is gone. */
async function replaceRoot(
  ticks: Ticks,
  { acme, old, counted }: { acme: Side; old: AuthorityView; counted: Tally },
): Promise<AuthorityView> {
  const startedAt = ticks.seconds()
  const made = await acme.service.ask<ChangedAuthorityView>('authority', 'prepare', 'x509_root')
  const waits = made.waitingFor.map(({ detail }) => detail).join('; ')
  ticks.note(`prepared and published; it waits: ${waits}`)
  await untilState(acme, { id: made.id, state: 'active' })
  ticks.note(`active after ${(ticks.seconds() - startedAt).toFixed(1)} s, by the timer`)
  const serial = serialOf(made)
  await until({ what: 'calls under the new root', seconds: 30 }, async () =>
    (counted.byRoot.get(serial) ?? 0) >= 20 ? true : undefined,
  )
  await untilState(acme, { id: old.id, state: 'removed' })
  return made
}

/** Waits until a side has polled what its peer publishes now. */
async function untilCaughtUp(side: Side, peer: Side): Promise<string> {
  const { sequence } = await peer.bundle()
  return until({ what: `${side.name} catching up with ${peer.name}`, seconds: 20 }, async () =>
    (await sequenceAt(side, peer)) === sequence ? sequence : undefined,
  )
}

async function roots({ name, service }: Side): Promise<AuthorityView[]> {
  const target = `/meshes/${name}/authorities?removed=true`
  const { items } = await service.api<{ items: AuthorityView[] }>(target)
  return items.filter(({ kind }) => kind === 'x509_root')
}

async function untilState(side: Side, wanted: { id: string; state: string }): Promise<void> {
  const what = `the root of ${side.name} being ${wanted.state}`
  await until({ what, seconds: 45, everyMs: 500 }, async () => {
    const found = (await roots(side)).find(({ id }) => id === wanted.id)
    return found?.state === wanted.state ? true : undefined
  })
}

function serialOf({ certificatePem }: AuthorityView): string {
  const [der] = splitPem(certificatePem ?? '')
  if (der === undefined) throw new Error('a root without certificate')
  return readCertificate(der).serial
}

async function sequenceAt(side: Side, peer: Side): Promise<string> {
  const { domains } = await side.relationship(peer)
  return domains[0]?.bundle?.sequence ?? 'none'
}

function noneFailed({ ok, failures }: Tally, atLeast: number): void {
  const all = ok + failures.length
  insist(failures.length === 0, `${failures.length} of ${all} calls failed: ${failures[0]}`)
  insist(ok >= atLeast, `only ${ok} calls were made`)
}

async function crash({ acme, globex }: Sides, server: CallServer): Promise<string[]> {
  const { tally, found } = await underCalls({ caller: acme.workload, server }, () =>
    killAndCheck(globex),
  )
  noneFailed(tally, 20)
  return [...found, `${tally.ok} calls between the workloads meanwhile, 0 failed`]
}

async function killAndCheck(side: Side): Promise<string[]> {
  const { service, name } = side
  const { pid } = service
  const before = await memoryOf(side)
  const last = await service.api<RuleView>(`/meshes/${name}/rules`, LAST_RULE)
  await service.end('SIGKILL')
  await service.start()
  const after = await memoryOf(side)
  const lost = before.filter((one) => !after.includes(one))
  insist(lost.length === 0, `it forgot ${lost[0]}`)
  insist(
    after.some((one) => one.includes(last.id)),
    'the last acknowledged rule is gone',
  )
  const { broken, verified } = await service.api<VerdictView>('/audit/verify')
  insist(broken === null, 'the audit log is broken')
  return [
    `kill -9 of process ${pid}, started again as ${service.pid}`,
    `${before.length} objects are as they were, and so is a rule acknowledged right before the kill`,
    `audit log whole: ${verified} records verified`,
  ]
}

const LAST_RULE = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: 'shop', name: 'stock' },
  audience: { kind: 'all' },
  note: 'acknowledged right before the kill',
}

/** Everything of a mesh that must survive, one text each, without moments of polls that go on by themselves. */
async function memoryOf({ name, service }: Side): Promise<string[]> {
  const base = `/meshes/${name}`
  const lists = ['authorities', 'entries', 'join-tokens', 'services', 'rules', 'bundle/revisions']
  const answers = await Promise.all(
    lists.map((list) => service.api<{ items: unknown[] }>(`${base}/${list}?limit=500`)),
  )
  const { items } = await service.api<{ items: RelationshipView[] }>(`${base}/relationships`)
  const relationships = items.map(({ name: peer, state, version, generation, domains }) => {
    const fixed = domains.map(({ trustDomain, endpointUrl, bundle }) => {
      return [trustDomain, endpointUrl, bundle?.digest]
    })
    return { peer, state, version, generation, fixed }
  })
  const mesh = await service.api<MeshView>(base)
  const all = [mesh, ...answers.flatMap((answer) => answer.items), ...relationships]
  return all.map((one) => JSON.stringify(one))
}

async function endIt({ acme, globex }: Sides, server: CallServer): Promise<string[]> {
  await call(acme.workload, server)
  const { ended } = await globex.service.ask<EndedRelationshipView>(
    'federation',
    'terminate',
    acme.name,
  )
  await until({ what: "globex's workload dropping acme's bundle", seconds: 20 }, async () =>
    [...globex.workload.bundles.keys()].includes(acme.workload.trustDomain) ? undefined : true,
  )
  const refusal = await refusalOnEitherSide(acme.workload, server)
  const { state } = await globex.relationship(acme)
  insist(state === 'terminated', `the relationship is ${state}`)
  const effects = ended.map(({ kind, name, effect }) => `  ${kind} ${name}: ${effect}`)
  return [`refused: ${refusal}`, ...effects]
}
