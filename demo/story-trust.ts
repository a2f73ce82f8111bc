import { messageOf } from '../src/errors.ts'
import { type KeyObject } from 'node:crypto'
import { type ExplainView } from '../src/policy/explain/explain-api.ts'
import { splitPem } from '../src/pki/certificate.ts'
import { verifyX509Svid } from '../src/pki/verify-chain.ts'
import { parseSpiffeId } from '../src/spiffe/spiffe-id.ts'
import { call, type Caller, type CallServer } from './calls.ts'
import { forge } from './forge.ts'
import { type Bundles } from './peer-check.ts'
import { insist, type Ticks } from './print.ts'
import { type Side } from './side.ts'
import { type Sides } from './story-setup.ts'

/** Calls, forged certificates and rules: whom the two sides believe, and why. */
export async function showTrust(
  ticks: Ticks,
  {
    sides,
    server,
    stolen,
  }: { readonly sides: Sides; readonly server: CallServer; readonly stolen: KeyObject },
): Promise<void> {
  ticks.heading('Whom they believe')
  await ticks.step("acme's workload calls globex's over mutual TLS", () => showCall(sides, server))
  await ticks.step("a certificate of globex's CA that claims an acme ID is refused", () =>
    showForgery(sides, { server, stolen }),
  )
  ticks.heading('Who may call what')
  await ticks.step(
    'globex exports shop/cart to the web namespace of acme only; acme lets it meet those identities',
    () => shareService(sides),
  )
  await ticks.step('the rule is explained for an allowed caller', () =>
    explain(sides.globex, 'web', 'allow'),
  )
  await ticks.step('the rule is explained for a refused caller', () =>
    explain(sides.globex, 'batch', 'deny'),
  )
}

async function showCall({ acme, globex }: Sides, server: CallServer): Promise<string[]> {
  const { clientSaw, serverSaw } = await call(acme.workload, server)
  insist(clientSaw === globex.workload.id, `acme saw ${clientSaw}`)
  insist(serverSaw === acme.workload.id, `globex saw ${serverSaw}`)
  return [`acme's side saw    ${clientSaw}`, `globex's side saw  ${serverSaw}`]
}

async function showForgery(
  { acme, globex }: Sides,
  { server, stolen }: { readonly server: CallServer; readonly stolen: KeyObject },
): Promise<string[]> {
  const claimedId = parseSpiffeId(`spiffe://${acme.trustDomain}/ns/web/gateway`)
  const { workload } = globex
  const identity = forge({
    genuine: workload.identity,
    ownId: workload.id,
    claimedId,
    issuerKey: stolen,
  })
  insist(
    isPooledFooled(identity.cert, workload.bundles),
    'the forgery is not perfect but for its ID',
  )
  const refusal = await refusalOf({ identity, bundles: workload.bundles }, server)
  return [
    `a thief with the key of globex's intermediate signs ${claimedId}`,
    `refused: ${refusal}`,
    'a validator that pools the anchors of both domains takes the same certificate',
  ]
}

/** The wrong validator: one pool of anchors for all domains. */
function isPooledFooled(cert: string, bundles: Bundles): boolean {
  const pool = [...bundles.values()].flatMap(({ x509Authorities }) => x509Authorities)
  const anchors = pool.map(({ certificate }) => certificate)
  verifyX509Svid(splitPem(cert), { anchorsOf: () => anchors, now: new Date() })
  return true
}

/** Why the server refuses a caller; throws when it does not. */
export async function refusalOf(caller: Caller, server: CallServer): Promise<string> {
  const { byServer } = await refusals(caller, server)
  insist(byServer !== undefined, 'the call failed, but not because the server refused it')
  return byServer ?? ''
}

/** Why one of both sides refuses the other: after the end of a federation, whichever heard of it first. */
export async function refusalOnEitherSide(caller: Caller, server: CallServer): Promise<string> {
  const { byServer, byCaller } = await refusals(caller, server)
  insist(/no bundle of the trust domain/.test(byServer ?? byCaller), byServer ?? byCaller)
  return byServer ?? byCaller
}

async function refusals(caller: Caller, server: CallServer) {
  const before = server.refusals
  const outcome = await call(caller, server).then(
    ({ serverSaw }) => ({ through: serverSaw }),
    (error: unknown) => ({ failed: messageOf(error) }),
  )
  insist('failed' in outcome, `the call went through as ${'through' in outcome && outcome.through}`)
  const byCaller = 'failed' in outcome ? outcome.failed : ''
  return { byCaller, byServer: server.refusals > before ? (server.refusal ?? '') : undefined }
}

async function shareService({ acme, globex }: Sides): Promise<string[]> {
  const cart = ['shop/cart', '--port', 'https:8443', '--identity']
  await Promise.all([
    globex.service.run('service', 'add', ...cart, globex.workload.id),
    acme.service.run('service', 'add', ...cart, globex.workload.id, '--of', globex.name),
  ])
  await Promise.all([
    globex.service.run('rule', 'export', 'shop/cart', '--to', acme.name, '--callers', '/ns/web/*'),
    acme.service.run('rule', 'import', 'shop/cart', '--from', globex.name),
    acme.service.run('rule', 'export', '--identity', '/ns/web/*', '--to', globex.name),
  ])
  const seen = await acme.service.ask<ExplainView>(
    'explain',
    acme.workload.id,
    ...mayCall,
    '--of',
    globex.name,
  )
  insist(seen.decision === 'allow', 'acme does not import what globex exports')
  return [`at acme it is called ${seen.hostname}, served by ${seen.serverIds.join(', ')}`]
}

const mayCall = ['--may-call', 'shop/cart']

async function explain(
  globex: Side,
  namespace: string,
  wanted: 'allow' | 'deny',
): Promise<string[]> {
  const caller = `spiffe://acme.example/ns/${namespace}/front`
  const { decision, steps } = await globex.service.ask<ExplainView>('explain', caller, ...mayCall)
  insist(decision === wanted, `${caller} is ${decision}, wanted ${wanted}`)
  const marks = { allow: '+', deny: '-', unknown: '?' }
  const reasons = steps.map(({ step, outcome, reason }) => `  ${marks[outcome]} ${step}: ${reason}`)
  return [
    `${caller} ${decision === 'allow' ? 'may' : 'may not'} call shop/cart of globex`,
    ...reasons,
  ]
}
