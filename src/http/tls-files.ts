import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Clock } from '../clock.ts'
import { messageOf, ServiceError } from '../errors.ts'
import { splitPem } from '../pki/certificate.ts'
import type { Alarms } from './alarms.ts'
import { contextOf, type KeyedCertificate } from './tls.ts'

/** What {@link WebCertificate} needs. */
export interface WebCertificateOptions {
  readonly certFile: string
  readonly keyFile: string
  readonly clock: Clock
  readonly alarms: Alarms
  /** The hosts that it is presented for now. */
  readonly hosts: () => readonly string[]
  /** Called when another pair is to be presented. */
  readonly onChange: (certificate: KeyedCertificate) => void
}

const HOUR_MS = 3_600_000
/** An end nearer than this is an alarm: two renewals of a 90-day certificate at a third of its life have failed. */
export const ENDING_SOON_DAYS = 14

/**
 * The certificate files of the https_web profile: read again when they change, checked hourly.
 *
 * A new pair that cannot be used is refused and the old one stays, with an alarm. End, coverage of our hosts
 * and completeness of the chain are alarms, too (FE-15).
 */
export class WebCertificate {
  readonly #options: WebCertificateOptions
  #current: KeyedCertificate | undefined
  #stamp = ''
  #checkedAt = Number.NEGATIVE_INFINITY
  #checkedHosts = ''
  #validity: (WebCertificateValidity & { readonly pair: KeyedCertificate }) | undefined

  constructor(options: WebCertificateOptions) {
    this.#options = options
  }

  /** The pair in use. */
  get current(): KeyedCertificate | undefined {
    return this.#current
  }

  /** When the first certificate of the chain in use ends, and which hosts the leaf names. */
  get validity(): WebCertificateValidity | undefined {
    const pair = this.#current
    if (pair === undefined) return undefined
    if (this.#validity?.pair !== pair) this.#validity = { pair, ...validityOf(pair.cert) }
    return this.#validity
  }

  /** One look at the files: reads them when they changed, checks them when an hour passed or the hosts changed. */
  async refresh(): Promise<void> {
    const stamp = await this.#stampOf()
    if (stamp !== this.#stamp) await this.#reload(stamp)
    const { clock } = this.#options
    const hosts = this.#options.hosts().join(' ')
    const due = clock.monotonicMs() - this.#checkedAt >= HOUR_MS || hosts !== this.#checkedHosts
    if (this.#current === undefined || !due) return
    this.#checkedAt = clock.monotonicMs()
    this.#checkedHosts = hosts
    this.#check(this.#current)
  }

  async #stampOf(): Promise<string> {
    const { certFile, keyFile } = this.#options
    const stamps = await Promise.all(
      [certFile, keyFile].map(async (path) => {
        const found = await stat(path).catch(() => undefined)
        return found === undefined ? 'absent' : `${found.mtimeMs} ${found.size} ${found.ino}`
      }),
    )
    return stamps.join(' | ')
  }

  async #reload(stamp: string): Promise<void> {
    const { certFile, keyFile, alarms, onChange } = this.#options
    try {
      const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
      const pair = { cert, key }
      checkPair(pair)
      this.#current = pair
      this.#checkedAt = Number.NEGATIVE_INFINITY
      alarms.clear('web-certificate.unusable', certFile)
      onChange(pair)
    } catch (error) {
      const kept = this.#current === undefined ? 'there is none to present' : 'the old pair stays'
      const message = `the new certificate files cannot be used, ${kept}: ${messageOf(error)}`
      alarms.raise('web-certificate.unusable', certFile, { message, service: true })
    }
    this.#stamp = stamp
  }

  #endSeverity(now: Date): 'warning' | 'critical' {
    const endsAt = this.validity?.endsAt ?? now
    return endsAt.getTime() - now.getTime() < CRITICAL_DAYS * 24 * HOUR_MS ? 'critical' : 'warning'
  }

  #check(pair: KeyedCertificate): void {
    const { certFile, alarms, clock } = this.#options
    const faults = findWebCertificateFaults(pair.cert, this.#options.hosts(), clock.now())
    const severities = new Map([['web-certificate.ending', this.#endSeverity(clock.now())]])
    for (const code of FAULT_CODES) {
      const message = faults.get(code)
      if (message === undefined) alarms.clear(code, certFile)
      else alarms.raise(code, certFile, { message, service: true, severity: severities.get(code) })
    }
  }
}

/** An end nearer than this is critical. */
const CRITICAL_DAYS = 3

/** How long a web certificate can be used, and where. */
export interface WebCertificateValidity {
  readonly endsAt: Date
  readonly covers: (host: string) => boolean
}

function validityOf(cert: string): WebCertificateValidity {
  const chain = chainOf(cert)
  const [leaf] = chain
  return {
    endsAt: new Date(Math.min(...chain.map(endOf))),
    covers: (host) => leaf !== undefined && covers(leaf, host),
  }
}

const FAULT_CODES = [
  'web-certificate.ending',
  'web-certificate.hosts',
  'web-certificate.chain',
] as const

/** Throws CERTIFICATE_INVALID when a key does not belong to the first certificate, or one of both cannot be read. */
function checkPair(pair: KeyedCertificate): void {
  const leaf = chainOf(pair.cert)[0]
  if (leaf === undefined || !leaf.checkPrivateKey(createPrivateKey(pair.key))) {
    throw new ServiceError('CERTIFICATE_INVALID', 'the key is not that of the first certificate')
  }
  contextOf(pair)
}

/** What is wrong with a chain of the https_web profile, by alarm code (FE-15). */
export function findWebCertificateFaults(
  cert: string,
  hosts: readonly string[],
  now: Date,
): ReadonlyMap<(typeof FAULT_CODES)[number], string> {
  const chain = chainOf(cert)
  const leaf = chain[0]
  const faults = new Map<(typeof FAULT_CODES)[number], string>()
  if (leaf === undefined) return faults
  const ending = endFault(chain, now)
  if (ending !== undefined) faults.set('web-certificate.ending', ending)
  const uncovered = hosts.filter((host) => !covers(leaf, host))
  if (uncovered.length > 0) {
    const named = uncovered.slice(0, 5).join(', ')
    faults.set('web-certificate.hosts', `the certificate does not name ${named}`)
  }
  const broken = chainFault(chain)
  if (broken !== undefined) faults.set('web-certificate.chain', broken)
  return faults
}

function endFault(chain: readonly X509Certificate[], now: Date): string | undefined {
  const first = chain.toSorted((one, other) => endOf(one) - endOf(other))[0]
  if (first === undefined) return undefined
  const days = (endOf(first) - now.getTime()) / 86_400_000
  const end = new Date(endOf(first)).toISOString()
  if (days <= 0) return `a certificate of the chain ended at ${end}`
  return days < ENDING_SOON_DAYS ? `a certificate of the chain ends at ${end}` : undefined
}

function endOf(certificate: X509Certificate): number {
  return certificate.validToDate.getTime()
}

function covers(leaf: X509Certificate, host: string): boolean {
  return (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined
}

// Each certificate must be signed by the next one; a leaf alone is a chain only when it signed itself.
function chainFault(chain: readonly X509Certificate[]): string | undefined {
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1]
    if (issuer === undefined) continue
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
      return `certificate ${index + 1} of the file is not issued by the one after it`
    }
  }
  const [leaf] = chain
  if (chain.length > 1 || leaf === undefined || leaf.checkIssued(leaf)) return undefined
  return 'the file holds only the leaf; clients may lack the intermediate that issued it'
}

function chainOf(cert: string): X509Certificate[] {
  return splitPem(cert).map((der) => new X509Certificate(der))
}
