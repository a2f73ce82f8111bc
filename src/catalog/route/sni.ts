import { type TopologyGateway } from '../../mesh/topology/topology.ts'
import { type ServiceName } from '../service.ts'

/**
 * The name under which the mesh that has a service knows it: `<name>.<namespace>.svc.cluster.local`.
 *
 * A gateway looks the name of a connection up in the registry of its own side, and Istio's registry names every
 * service of Kubernetes by the cluster domain, `cluster.local` unless the cluster was installed otherwise, whatever
 * the trust domain is. The names with a mesh's DNS suffix are those of importers, which no exporter knows.
 */
function exporterHost({ namespace, name }: ServiceName): string {
  return `${name}.${namespace}.svc.cluster.local`
}

/**
 * What TLS must name (SNI) at a gateway to reach a port of a service.
 *
 * `auto-passthrough` is Istio's form `outbound_.<port>_.<subset>_.<host>` with the number of the service's port
 * and without a subset: gateways of mode AUTO_PASSTHROUGH have one filter chain for each such name. A gateway of mode
 * `hostname` forwards by the host alone.
 */
export function sniOf(
  mode: TopologyGateway['sniMode'],
  service: ServiceName,
  port: number,
): string {
  const host = exporterHost(service)
  return mode === 'hostname' ? host : `outbound_.${port}_._.${host}`
}
