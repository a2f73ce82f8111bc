import { ServiceError } from '../../errors.ts'
import { addressFault } from '../../http/host-address.ts'

/** Refuses what is no address that others can reach (INVALID_REQUEST), as {@link addressFault} tells; no port. */
export function checkHost(text: string, pointer: string): void {
  const fault = addressFault(text)
  if (fault !== undefined) throw refusal(fault, pointer, 'without a port')
}

/**
 * Refuses what is no address of a control plane (INVALID_REQUEST): a host, or `host:port`; an IPv6 address stands in
 * brackets before a port.
 */
export function checkHostAndPort(text: string, pointer: string): void {
  const [, bracketed, named, port] =
    /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/i.exec(text) ?? []
  const fault = addressFault(bracketed ?? named ?? text)
  if (fault !== undefined) throw refusal(fault, pointer, 'with or without :port')
  if (port === undefined || (Number(port) >= 1 && Number(port) <= 65_535)) return
  throw refusal(`port ${port} is not 1 to 65535`, pointer, 'with or without :port')
}

function refusal(fault: string, pointer: string, ports: string): ServiceError {
  const detail = `${fault}; write an IP address, or a DNS name in lower case, ${ports}`
  return new ServiceError('INVALID_REQUEST', detail, { fields: [{ in: 'body', pointer, detail }] })
}
