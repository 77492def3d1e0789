/** The first configuration of the daemon: everything is as usual, and says where to read on. */
export function daemonConfigText(): string {
  return `# Configuration of \`sociable serve\`. Everything has a default:
#   sociable config default   all keys, what they do, and their defaults
#   sociable config check     what is wrong in this file
#   sociable config dump      what the daemon would use

# log_level = "info"

# An image without an index: containerd unpacks it ("runtime"), or it is streamed,
# indexed on the way and served ("stream").
# on_missing_index = "runtime"

# [cache]
# size = "20gb"          # of layers on disk; a part of the disk by default

# [background_fetch]
# disable = false        # what containers have not asked for yet is fetched, too

# Registries, mirrors and certificates as containerd has them.
# [registry]
# config_path = "/etc/containerd/certs.d"
`;
}
