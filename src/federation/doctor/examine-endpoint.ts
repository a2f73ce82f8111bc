import { type OutboundOutcome, type ServerProof } from '../../http/outbound.ts'
import { type Probe, type ProbeStage } from '../../http/outbound-probe.ts'
import { messageOf, type ServiceError } from '../../errors.ts'
import { fingerprintOf } from '../../pki/certificate.ts'
import { verifyX509Svid } from '../../pki/verify-chain.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type DoctorStep, failed, ok, skipped } from './doctor-step.ts'

/** A fetch and everything that it saw. */
export interface EndpointVisit {
  readonly url: string
  readonly proof: ServerProof
  readonly probe: Probe
  readonly outcome: OutboundOutcome
  readonly now: Date
}

/** The steps of a connection, by the stage in which each is decided. */
const STEPS = [
  { step: 'dns', stages: ['name'] },
  { step: 'egress', stages: ['policy'] },
  { step: 'tcp', stages: ['tcp'] },
  { step: 'tls', stages: ['tls'] },
  { step: 'chain', stages: ['proof'] },
  { step: 'spiffe-id', stages: [] },
  { step: 'http', stages: ['http', 'body'] },
] as const satisfies readonly { step: string; stages: readonly ProbeStage[] }[]

type ConnectionStep = (typeof STEPS)[number]['step']

/**
 * What a fetch tells of an endpoint, step by step up to the first failure; what comes after is skipped.
 *
 * Where policy refused nothing but its one sentence is told: no address beyond it, and nothing of what lies behind.
 */
export function examineEndpoint(visit: EndpointVisit): DoctorStep[] {
  const { outcome } = visit
  const error = 'error' in outcome ? outcome.error : undefined
  const failedStep = error === undefined ? undefined : whereItFailed(visit)
  const steps: DoctorStep[] = []
  let isOver = false
  for (const { step } of STEPS) {
    if (isOver) steps.push(skipped(step, 'not reached'))
    else if (step === failedStep && error !== undefined) {
      steps.push(failed(step, error.message, error.next ?? WAYS_OUT[step]))
      isOver = true
    } else steps.push(SEEN[step](visit))
  }
  return steps
}

/** Nothing is contacted while nothing is left to authenticate the endpoint with (FE-26). */
export function unprovable(error: ServiceError): DoctorStep[] {
  return STEPS.map(({ step }) =>
    step === 'chain'
      ? failed('chain', error.message, error.next)
      : skipped(step, 'nothing is contacted without an authority to check the endpoint with'),
  )
}

function whereItFailed(visit: EndpointVisit): ConnectionStep {
  const { probe, proof, outcome } = visit
  const isPolicy = 'error' in outcome && outcome.error.code === 'EGRESS_REFUSED'
  if (isPolicy) return 'egress'
  if (probe.stage === 'proof' && proof.kind === 'spiffe' && chainFault(visit) === undefined) {
    return 'spiffe-id'
  }
  const found = STEPS.find(({ stages }) => stages.some((stage) => stage === probe.stage))
  return found?.step ?? 'http'
}

/** Why the presented chain does not hold by itself, whatever ID it shows. */
function chainFault({ probe, proof, now }: EndpointVisit): string | undefined {
  if (proof.kind !== 'spiffe') return undefined
  const anchors = proof.anchors.map((anchor) => fingerprintOf(anchor))
  const chain = probe.chain.filter(
    (certificate, index) => index === 0 || !anchors.includes(fingerprintOf(certificate)),
  )
  try {
    verifyX509Svid(chain, {
      anchorsOf: (trustDomain) =>
        trustDomain === trustDomainOf(proof.id) ? proof.anchors : undefined,
      now,
    })
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

/** What a step says when it went well. */
const SEEN: Readonly<Record<ConnectionStep, (visit: EndpointVisit) => DoctorStep>> = {
  dns: (visit) => ok('dns', namesOf(visit)),
  egress: () => ok('egress', 'policy opens it'),
  tcp: ({ outcome, url }) =>
    ok('tcp', `connected to ${outcome.contact.address ?? new URL(url).host}`),
  tls: ({ probe }) => ok('tls', `${probe.tlsVersion ?? 'TLS'}; the session is new`),
  chain: (visit) => ok('chain', chainOf(visit)),
  'spiffe-id': ({ proof }) =>
    proof.kind === 'spiffe'
      ? ok('spiffe-id', proof.id)
      : skipped('spiffe-id', "profile https_web: the host's name counts"),
  http: ({ probe, outcome }) =>
    ok('http', `${probe.status ?? 200}${redirected(outcome.contact.redirects)}`),
}

function namesOf({ url, probe, outcome }: EndpointVisit): string {
  const { hostname } = new URL(outcome.contact.url || url)
  const isRefused = 'error' in outcome && outcome.error.code === 'EGRESS_REFUSED'
  if (isRefused) return `${hostname} was looked up`
  return probe.addresses.length === 0
    ? `${hostname} is an address`
    : `${hostname} is ${probe.addresses.slice(0, 8).join(', ')}`
}

function chainOf({ probe, proof }: EndpointVisit): string {
  const shown = probe.chain.map((certificate) => fingerprintOf(certificate).slice(0, 16))
  const anchors = proof.kind === 'spiffe' ? proof.anchors.map((one) => fingerprintOf(one)) : []
  const anchor = probe.chain.map((one) => fingerprintOf(one)).find((one) => anchors.includes(one))
  const under =
    proof.kind === 'web'
      ? 'a public root of this machine'
      : anchor === undefined
        ? `one of ${anchors.length} stored authorities of ${trustDomainOf(proof.id)}`
        : `the stored authority sha256:${anchor}`
  return `${shown.length} certificates (sha256 ${shown.join(', ')}) under ${under}`
}

function redirected(redirects: readonly string[]): string {
  return redirects.length === 0 ? '' : ` after redirects to ${redirects.join(', ').slice(0, 300)}`
}

const WAYS_OUT: Partial<Record<ConnectionStep, string>> = {
  dns: 'check the host in the URL of the bundle endpoint',
  tcp: 'ask the peer whether the endpoint listens, and whether a firewall lies between',
  tls: 'ask the peer which TLS versions its endpoint speaks; 1.2 is the least',
  chain:
    'compare fingerprints with the peer; a newer bundle can be handed in with: entente bundle set',
  'spiffe-id': 'ask the peer for the SPIFFE ID of its endpoint',
  http: 'ask the peer what answers at this URL',
}
