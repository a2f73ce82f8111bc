import { readCertificate } from '../../pki/certificate.ts'
import { type DoctorStep, ok, skipped, warning } from './doctor-step.ts'
import { type EndpointVisit } from './examine-endpoint.ts'

/** Clocks that differ by more spoil certificates, which are often backdated by half a minute only. */
const MOST_SECONDS = 10

/** How far the peer's clock is from ours, by its Date header and by the window of what it presents. */
export function examineClock({ probe, now }: EndpointVisit): DoctorStep {
  const [leaf] = probe.chain
  const window = leaf === undefined ? undefined : readCertificate(leaf)
  if (window !== undefined && window.notBefore > now) {
    return warning(
      'clock',
      `its certificate begins at ${window.notBefore.toISOString()}, which is ahead of our ${now.toISOString()}`,
      'compare both clocks with NTP',
    )
  }
  const theirs = Date.parse(probe.date ?? '')
  if (Number.isNaN(theirs)) return skipped('clock', 'the endpoint tells no date')
  const seconds = Math.round((theirs - now.getTime()) / 1000)
  const ends = window === undefined ? '' : `; its certificate ends ${window.notAfter.toISOString()}`
  const detail = `the peer's is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} ours${ends}`
  return Math.abs(seconds) <= MOST_SECONDS
    ? ok('clock', detail)
    : warning('clock', detail, 'compare both clocks with NTP')
}
