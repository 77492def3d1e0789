/** What of a node beside its attributes is asked for; settled with the kernel once for a mount. */
export interface MountFeatures {
  readonly xattrs: boolean;
  readonly acls: boolean;
}
