import { type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** Who configures something: the peer, to trust us; or our own control planes, to read the relay. */
export const INSTRUCTION_SIDES = ['theirs', 'ours'] as const

/** One of {@link INSTRUCTION_SIDES}. */
export type InstructionSide = (typeof INSTRUCTION_SIDES)[number]

/** What the instructions are for. */
export const INSTRUCTION_TARGETS = [
  'spire',
  'spire-controller-manager',
  'istio',
  'openshift',
  'curl',
] as const

/** One of {@link INSTRUCTION_TARGETS}. */
export type InstructionTarget = (typeof INSTRUCTION_TARGETS)[number]

/** A bundle that somebody is to read: where it is, and how that place proves itself. */
export interface BundleSource {
  /** Whose bundle it is. */
  readonly trustDomain: TrustDomain
  readonly url: string
  readonly profile: 'https_web' | 'https_spiffe'
  /** What the endpoint presents under https_spiffe. */
  readonly endpointId: SpiffeId | undefined
  /** Text of the bundle by which that endpoint is authenticated; public like every bundle. */
  readonly endpointBundle: string | undefined
  /** X.509 authorities of the bundle now, PEM. */
  readonly rootsPem: readonly string[]
}

/** What instructions are made of; all of it is ours to tell and nothing of it is secret. */
export interface InstructionFacts {
  readonly side: InstructionSide
  /** Our name for the peer; a DNS label. */
  readonly relationship: string
  readonly sources: readonly BundleSource[]
}

/** A piece that is pasted as it is. */
export interface InstructionPart {
  readonly title: string
  readonly language: 'hcl' | 'yaml' | 'shell' | 'text'
  readonly text: string
}

/** Writes the instructions for one target. Pure. */
export type InstructionRenderer = (facts: InstructionFacts) => InstructionPart[]

/** A name for a Kubernetes object about a trust domain (RFC 1123 subdomain, at most 253 characters). */
export function objectName(trustDomain: TrustDomain): string {
  const name = trustDomain.replaceAll('_', '-').replaceAll(/\.{2,}|\.-|-\./g, '-')
  return name.replaceAll(/^[.-]+|[.-]+$/g, '').slice(0, 253) || 'peer'
}

/** Lines of prose as comments that HCL, YAML and shells skip. */
export function commented(...lines: readonly string[]): string {
  return lines.map((line) => `# ${line}\n`).join('')
}

/** All parts as one text, each under its title. */
export function textOf(parts: readonly InstructionPart[]): string {
  return parts
    .map(({ title, language, text }) => {
      const body = language === 'text' ? commented(...text.trimEnd().split('\n')) : text
      return `${commented(`--- ${title}`)}${body.trimEnd()}\n`
    })
    .join('\n')
}
