/** A bundle given by hand, for the body of a request: JSON and PEM have members of their own. */
export function givenBundle(text: string): {
  readonly bundle?: string
  readonly bundlePem?: string
} {
  return isPem(text) ? { bundlePem: text } : { bundle: text }
}

/** Whether a file is PEM rather than a SPIFFE bundle, which is JSON. */
export function isPem(text: string): boolean {
  return text.includes('-----BEGIN ')
}
