# Bridge, routes and the guard of the local cluster; every change to the machine is written down, and undone by `network_down`.

sysctl_set() { # sysctl_set NAME VALUE: keeps the old value
  sysctl_keep "$1"
  echo "$2" >"/proc/sys/$1"
}
sysctl_keep() {
  local saved=$RUN/saved/${1//\//.}
  [ -e "$saved" ] || cat "/proc/sys/$1" >"$saved"
}

network_up() {
  mkdir -p "$RUN/saved" "$RUN/cni"
  if [ ! -e "$RUN/tables-before" ]; then
    ls /run/netns >"$RUN/namespaces-before" 2>/dev/null || true
    nft list tables >"$RUN/tables-before"
  fi
  local name
  for name in kernel/panic kernel/panic_on_oops vm/overcommit_memory; do sysctl_keep "$name"; done   # the kubelet sets these by itself
  sysctl_set net/ipv4/ip_forward 1
  ip link show "$BRIDGE" >/dev/null 2>&1 || ip link add "$BRIDGE" type bridge
  [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || sysctl_set net/bridge/bridge-nf-call-iptables 1
  ip address replace "$BRIDGE_ADDRESS/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  # Nothing meant for a Service or a pod may ever leave the machine, not even while kube-proxy is down; nor may a pod reach beyond it.
  ip route replace "$SERVICE_CIDR" dev "$BRIDGE" src "$BRIDGE_ADDRESS"
  ip route replace blackhole 10.244.0.0/16 metric 1000
  nft -f - <<NFT
table inet recmodel_guard
delete table inet recmodel_guard
table inet recmodel_guard {
  chain forward { type filter hook forward priority 0; iifname "$BRIDGE" oifname != "$BRIDGE" drop; }
}
NFT
  cat >"$RUN/cni/10-recmodel.conflist" <<CNI
{ "cniVersion": "0.4.0", "name": "recmodel",
  "plugins": [
    { "type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "ipMasq": false, "hairpinMode": true,
      "ipam": { "type": "host-local", "dataDir": "$RUN/cni-ipam",
                "ranges": [[{ "subnet": "$POD_CIDR", "rangeStart": "10.244.0.10" }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
    { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true } ] }
CNI
}

network_down() {
  local family table namespace saved name
  for namespace in $(ls /run/netns 2>/dev/null | grep '^cni-' | grep -vxF -f "$RUN/namespaces-before"); do
    umount -l "/run/netns/$namespace" 2>/dev/null || true
    rm -f "/run/netns/$namespace"
  done
  rm -rf "$RUN/cni-ipam"
  if [ -e "$RUN/tables-before" ]; then
    # kube-proxy's and the guard, and those that the kubelet or the CNI plugins made because no one had before.
    nft list tables | grep -vxF -f "$RUN/tables-before" | grep -E ' (kube-proxy|recmodel_guard|mangle|nat|filter)$' |
      while read -r _ family table; do nft delete table "$family" "$table"; done
    rm -f "$RUN/tables-before" "$RUN/namespaces-before"
  fi
  ip route del blackhole 10.244.0.0/16 metric 1000 2>/dev/null || true
  ip link del "$BRIDGE" 2>/dev/null || true
  for saved in "$RUN"/saved/*; do
    [ -e "$saved" ] || continue
    name=$(basename "$saved")
    [ ! -e "/proc/sys/${name//.//}" ] || cat "$saved" >"/proc/sys/${name//.//}"
    rm -f "$saved"
  done
}
