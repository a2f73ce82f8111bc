/** A peer's side of a federation. */
export interface FarmPeer {
  readonly trustDomain: string
  readonly host: string
  readonly endpointId: string
  /** Base64 of the SPIFFE bundle. */
  readonly document: string
  readonly etag: string
}
