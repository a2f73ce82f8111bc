import { type FieldError, ServiceError } from '../errors.ts'
import { addressFault } from '../http/host-address.ts'
import { type OfferGateway } from './endpoint.ts'

/** Most gateways of one offer. */
export const MAX_GATEWAYS = 16

/** The gateways of an offer; throws SERVICE_INVALID with one field error per thing that is wrong. */
export function parseGateways(gateways: readonly OfferGateway[]): readonly OfferGateway[] {
  const fields = gateways.flatMap((gateway, index) => faultsOf(gateways, gateway, index))
  if (gateways.length > MAX_GATEWAYS) {
    const detail = `an offer has at most ${MAX_GATEWAYS} gateways, found ${gateways.length}`
    fields.unshift({ in: 'body', pointer: '/gateways', detail })
  }
  const [first] = fields
  if (first !== undefined) throw new ServiceError('SERVICE_INVALID', first.detail, { fields })
  return gateways
}

function faultsOf(
  all: readonly OfferGateway[],
  { address, port, region, zone }: OfferGateway,
  index: number,
): FieldError[] {
  const at = `/gateways/${index}`
  const wrong = addressFault(address)
  const isTwice = all.slice(0, index).some((one) => one.address === address && one.port === port)
  return [
    ...(wrong === undefined ? [] : [fault(`${at}/address`, wrong)]),
    ...(isTwice ? [fault(at, `gateway ${address}:${port} is named twice`)] : []),
    ...(zone !== undefined && region === undefined
      ? [fault(`${at}/zone`, `zone ${zone} is in no region; name the region too`)]
      : []),
  ]
}

function fault(pointer: string, detail: string): FieldError {
  return { in: 'body', pointer, detail }
}
